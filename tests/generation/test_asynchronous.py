"""`agenerate` and `achat`: the same pieces, a loop that goes on, and an end of the computation when it is cancelled.

Tests wait for events: a feed that is held back until the test lets it go on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import built_engine
from scripted import START, script, write_scripted

from pyllama3 import Llama
from pyllama3.errors import OptionError
from pyllama3.runtime.state import BATCH, State


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    path: Path = tmp_path_factory.mktemp("async") / "m.gguf"
    write_scripted(path, script("hello", " world", "é", "<|eot_id|>"), context=2000)
    with Llama.load(path, backend=built_engine("c").name, threads=1) as llm:
        yield llm


class Gate:
    """Holds every pass back until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.passes = 0
        forward = State.forward

        def held(state: State, rows: int, logit_rows: int) -> Any:
            self.passes += 1
            self.reached.set()
            self.opened.wait()
            return forward(state, rows, logit_rows)

        monkeypatch.setattr(State, "forward", held)


def test_pieces_are_those_of_generate(llm: Llama) -> None:
    async def listen() -> tuple[list[str], list[str]]:
        messages = [{"role": "user", "content": "hello"}]
        return (
            [piece.text async for piece in llm.agenerate([START], temperature=0)],
            [piece.text async for piece in llm.achat(messages, temperature=0, max_tokens=3)],
        )

    continued, answered = asyncio.run(listen())
    assert continued == [piece.text for piece in llm.generate([START], temperature=0)]
    assert "".join(continued) == "hello worldé"
    assert len(answered) == 3


def test_arguments_are_checked_at_once(llm: Llama) -> None:
    with pytest.raises(OptionError, match="max_tokens is 0"):
        llm.agenerate("x", max_tokens=0)


def test_the_loop_goes_on_while_a_token_is_computed(llm: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)

    async def main() -> str:
        async def listen() -> str:
            return "".join([piece.text async for piece in llm.agenerate([START], temperature=0)])

        task = asyncio.create_task(listen())
        while not gate.reached.is_set():
            await asyncio.sleep(0.001)
        gate.opened.set()  # by the loop: were it blocked, nobody would
        return await task

    assert asyncio.run(main()) == "hello worldé"


def test_a_cancelled_task_ends_the_computation(llm: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    session = llm.session()

    async def main() -> None:
        async def listen() -> None:
            async for _ in llm.agenerate([START] * (5 * BATCH), session=session):
                raise AssertionError("there is nothing to hear")

        task = asyncio.create_task(listen())
        while not gate.reached.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.sleep(0.001)
        assert not task.done()  # a batch is being computed
        gate.opened.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert gate.passes == 1
    assert session.position == BATCH
    assert session.feed([START]).shape == (llm.config.vocab_size,)  # as good as before


def test_who_leaves_early_leaves_nothing_behind(llm: Llama) -> None:
    session = llm.session()

    async def main() -> None:
        pieces = llm.agenerate([START], temperature=0, session=session)
        async for _ in pieces:
            break
        await pieces.aclose()

    asyncio.run(main())
    assert session.ids == (START,)
