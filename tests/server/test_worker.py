"""The thread behind the server: its texts are those of single runs, and who leaves frees a place in any phase."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import pytest
from tiny_models import write_tiny

from pyllama3 import Llama
from pyllama3.errors import BusyError
from pyllama3.generation.generation import Generation, Piece
from pyllama3.server import worker as worker_module
from pyllama3.server.worker import Worker

WITHOUT_END = dict.fromkeys(range(269, 288), -100)
LONGEST = 65536


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    path = write_tiny(tmp_path_factory.mktemp("random") / "m.gguf", context=LONGEST, layers=1)
    return Llama.load(path, context=LONGEST)


class Client:
    """Takes what is delivered."""

    def __init__(self, worker: Worker, llm: Llama, prompt: list[int], **options: Any) -> None:
        self.generation: Generation = llm.generation(prompt, logit_bias=WITHOUT_END, temperature=1, **options)
        self._worker = worker
        self._events: queue.SimpleQueue[Piece | Exception] = queue.SimpleQueue()
        worker.submit(self.generation, self._events.put)

    def next(self) -> Piece | Exception:
        return self._events.get(timeout=60)

    def ids(self) -> list[int]:
        """Wait for the end."""
        ids = []
        while True:
            piece = self.next()
            assert isinstance(piece, Piece)
            ids.append(piece.id)
            if piece.stats.finish_reason:
                return ids

    def leave(self) -> None:
        self._worker.cancel(self.generation)


@pytest.fixture
def worker(llm: Llama) -> Iterator[Worker]:
    worker = Worker(llm.scheduler(2))
    yield worker
    worker.stop(BusyError("the end"))


def test_more_texts_than_places(llm: Llama, worker: Worker) -> None:
    prompts = [[*range(1, 40 + n), 7 * n] for n in range(12)]
    clients = [Client(worker, llm, prompt, seed=n, max_tokens=20) for n, prompt in enumerate(prompts)]
    for n, (client, prompt) in enumerate(zip(clients, prompts, strict=True)):
        pieces = llm.generate(prompt, seed=n, max_tokens=20, temperature=1, logit_bias=WITHOUT_END)
        assert client.ids() == [piece.id for piece in pieces]


@pytest.mark.parametrize("phase", ["queue", "prompt", "answer"])
def test_who_leaves_frees_a_place(llm: Llama, worker: Worker, phase: str) -> None:
    endless = [Client(worker, llm, [n + 1]) for n in range(2)]
    for client in endless:
        assert isinstance(client.next(), Piece)
    waiting = Client(worker, llm, [9], max_tokens=1)
    if phase == "queue":
        Client(worker, llm, [8]).leave()
        endless[0].leave()
    elif phase == "prompt":
        reading = Client(worker, llm, [3] * (LONGEST - 1))
        endless[0].leave()
        assert len(waiting.ids()) == 1
        waiting = Client(worker, llm, [9], max_tokens=1)  # waits for one of the two that will not end soon
        reading.leave()
    else:
        endless[1].leave()
    assert len(waiting.ids()) == 1


def test_who_has_left_gets_nothing_more(llm: Llama, worker: Worker) -> None:
    client = Client(worker, llm, [1])
    client.next()
    client.leave()
    client.leave()
    assert len(Client(worker, llm, [2], max_tokens=3).ids()) == 3
    assert (worker.running, worker.waiting) == (0, 0)


def test_a_full_queue_refuses(llm: Llama, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "MOST_WAITING", 1)
    for _ in range(2):
        Client(worker, llm, [1]).next()
    Client(worker, llm, [1])
    with pytest.raises(BusyError, match="1 requests are waiting already"):
        Client(worker, llm, [1])


def test_stopping_ends_all_texts(llm: Llama) -> None:
    worker = Worker(llm.scheduler(1))
    running, waiting = Client(worker, llm, [1]), Client(worker, llm, [2])
    running.next()
    worker.stop(BusyError("the end"))
    assert str(waiting.next()) == "the end"
    while isinstance(end := running.next(), Piece):
        pass
    assert str(end) == "the end"
    with pytest.raises(BusyError, match="the server is being stopped"):
        Client(worker, llm, [3])


def test_a_pass_that_fails_ends_its_texts_only(llm: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = llm.scheduler(1)
    worker = Worker(scheduler)
    state = scheduler._state
    forward = state.forward

    def fail(rows: int, logit_rows: int) -> Any:
        monkeypatch.setattr(state, "forward", forward)
        raise MemoryError

    monkeypatch.setattr(state, "forward", fail)
    assert isinstance(Client(worker, llm, [1, 2, 3], max_tokens=1).next(), MemoryError)
    expected = llm.generate([1, 2, 3], seed=4, max_tokens=9, temperature=1, logit_bias=WITHOUT_END)
    assert Client(worker, llm, [1, 2, 3], seed=4, max_tokens=9).ids() == [piece.id for piece in expected]
    worker.stop(BusyError("the end"))
