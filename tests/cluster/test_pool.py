"""The pool of actors, on a Ray that is played: what it does about actors that die, or differ from each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pyllama3 import __version__
from pyllama3.cluster.connection import Share, share
from pyllama3.cluster.orders import Report, make_order
from pyllama3.cluster.pool import Pool
from pyllama3.errors import ClusterError, StoreError
from pyllama3.server.answerer import Question

Call = Callable[..., Any]


class RayError(Exception):
    pass


class Promise:
    """What a call of an actor will return; an exception is raised, None is not there yet."""

    def __init__(self, result: Any) -> None:
        self.result = result


class Handle:
    def __init__(self, name: int, script: Callable[[int, Any], Any]) -> None:
        self.report = self.answer = self
        self._name, self._script = name, script

    def remote(self, *arguments: Any) -> Promise:
        return Promise(self._script(self._name, arguments))


class PlayedRay:
    """Actors are numbered as they begin; the script tells what the calls of each return."""

    def __init__(self, script: Callable[[int, Any], Any]) -> None:
        self.exceptions = type("exceptions", (), {"RayError": RayError})
        self.begun = 0
        self.killed = 0
        self.machines = [False, True]
        self._script = script

    def options(self, **_: Any) -> PlayedRay:
        return self

    def remote(self, *_: Any) -> Any:
        if isinstance(_[0], type):
            return self
        self.begun += 1
        return Handle(self.begun, self._script)

    def wait(self, promises: Sequence[Promise], **_: Any) -> tuple[list[Promise], list[Promise]]:
        ready = [promise for promise in promises if promise.result is not None]
        return ready, [promise for promise in promises if promise.result is None]

    def get(self, promise: Promise) -> Any:
        if isinstance(promise.result, Exception):
            raise promise.result
        return promise.result

    def kill(self, _: Handle) -> None:
        self.killed += 1

    def nodes(self) -> list[dict[str, bool]]:
        return [{"Alive": is_alive} for is_alive in self.machines]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 8}


def pool(ray: PlayedRay, actors: int, said: list[str], parallel: int = 1) -> Pool:
    order = make_order("m", parallel=parallel, defaults={}, options={"lora": []})
    return Pool(ray, Share(actors, 1, 1), order, say=said.append)


def wait_often(actors: Pool) -> None:
    for _ in range(20):
        actors.wait()


def question(number: int) -> Question:
    return Question(number, f"r{number}", "url", {"n": number})


def well(name: int, arguments: Any) -> Any:
    """An actor that does what it should."""
    return (200, {"by": name, "to": arguments[1]["n"]}) if arguments else Report(machine=f"m{name}", bits=b"1")


def test_questions_of_the_dead_are_given_to_others() -> None:
    def script(name: int, arguments: Any) -> Any:
        return RayError("died") if arguments and name == 1 else well(name, arguments)

    ray = PlayedRay(script)
    actors = pool(ray, 2, [], parallel=4)
    assert actors.free == 0
    assert list(actors.wait()) == []
    assert actors.free == 10  # one more waits for every four
    for number in range(10):
        actors.add(question(number))
    assert actors.free == 0
    answers: list[Any] = []
    for _ in range(20):
        answers += actors.wait()
    assert sorted(answer.body["to"] for answer in answers) == list(range(10))
    assert 1 not in {answer.body["by"] for answer in answers}
    assert (ray.begun, ray.killed) == (3, 1)


def test_actors_that_die_and_die() -> None:
    ray = PlayedRay(lambda name, arguments: RayError("no\n  out of memory\n") if arguments else well(name, arguments))
    actors = pool(ray, 1, [])
    actors.wait()
    actors.add(question(7))
    with pytest.raises(
        ClusterError, match=r"died 5 times before anything was answered, .* worked on line 7: out of memory$"
    ):
        wait_often(actors)
    ray = PlayedRay(lambda *_: RayError("no module\n"))
    actors = pool(ray, 3, [])
    with pytest.raises(ClusterError, match=r"at last while it loaded the model: no module$"):
        wait_often(actors)


def test_an_actor_without_the_model_is_left_out() -> None:
    said: list[str] = []

    def script(name: int, arguments: Any) -> Any:
        return well(name, arguments) if arguments or name > 1 else Report(machine="m1", error="m: no such file")

    actors = pool(PlayedRay(script), 2, said)
    actors.wait()
    actors.add(question(1))
    assert [answer.body["by"] for answer in actors.wait()] == [2]
    assert said == ["m1: m: no such file; the others go on without it"]
    actors = pool(PlayedRay(lambda *_: Report(machine="m1", error="m: no such file")), 2, said)
    with pytest.raises(ClusterError, match=r"^m1: m: no such file$"):
        actors.wait()


def test_actors_have_to_be_alike() -> None:
    said: list[str] = []
    actors = pool(PlayedRay(lambda name, _: Report(machine=f"m{name}", bits=bytes([name]))), 2, said)
    actors.wait()
    assert said[0].startswith("m2 computes other numbers than m1, ")
    actors = pool(PlayedRay(lambda *_: Report(machine="m1", version="0.0")), 1, said)
    with pytest.raises(ClusterError, match=rf"^m1: pyllama3 0\.0 is there, {__version__} here$"):
        actors.wait()


def test_the_last_machine_dies() -> None:
    ray = PlayedRay(lambda *_: None)
    actors = pool(ray, 1, [])
    wait_often(actors)
    ray.machines = [False, False]
    with pytest.raises(ClusterError, match=r"^no machine of the cluster is left; on another one, the same command"):
        actors.wait()


def test_files_have_to_be_where_the_actor_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.gguf").touch()
    Path("l.gguf").touch()
    options = {"lora": [("l.gguf", 0.5), ("other", 1.0)]}
    order = make_order("m.gguf", parallel=1, defaults={}, options=options)
    assert order.model == str(tmp_path / "m.gguf")
    assert order.options["lora"] == [(str(tmp_path / "l.gguf"), 0.5), ("other", 1.0)]
    order.check_files()
    Path("l.gguf").unlink()
    with pytest.raises(StoreError, match=r"/l\.gguf: not on this machine; every machine needs it in this place"):
        order.check_files()
    assert make_order("smollm2", parallel=1, defaults={}, options={"lora": []}).model == "smollm2"


@pytest.mark.parametrize(
    ("machines", "actors", "threads", "expected"),
    [
        ([8, 8, 4], None, None, Share(3, 4, None)),
        ([8, 8], 2, None, Share(2, 8, None)),
        ([8, 8], 4, None, Share(4, 4, 4)),
        ([8, 8], 5, None, Share(5, 2, 2)),
        ([2], 5, None, Share(5, 1, 1)),
        ([8, 8], None, 3, Share(2, 3, 3)),
    ],
)
def test_shares_of_machines(machines: list[int], actors: int | None, threads: int | None, expected: Share) -> None:
    assert share(machines, actors, threads) == expected
