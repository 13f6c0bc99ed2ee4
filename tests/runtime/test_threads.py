"""Threads that compute together: they come and go with their sessions, wait without computing, and survive a fork.

What could hang runs in a process of its own, which is given `SECONDS`. To add a case: a script for `run`, which gets a
session of two threads; or passes for `Machine`, in seconds that nobody waits for.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import built_engine
from paths import ROOT
from tiny_models import write_tiny

from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.runtime.threads import Pace
from pyllama3.weights import load_weights

SECONDS = 120
"""After which a process counts as hanging; they take one, and some more where many run beside each other."""
IDS = [257, 7, 104, 0, 287, 7, 33, 33, 190, 12, 5]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("threads") / "m.gguf", layers=1)


@pytest.fixture
def model(path: Path) -> Iterator[EngineModel]:
    yield EngineModel(built_engine("c"), load_weights(path), threads=3)
    gc.collect()


# in processes of their own

SETUP = """
    import os, sys, threading, time
    import numpy as np
    from pyllama3.backends import load_engine
    from pyllama3.runtime.model import EngineModel
    from pyllama3.runtime.session import Session
    from pyllama3.weights import load_weights

    model = EngineModel(load_engine("c"), load_weights(sys.argv[1]), threads=2)

    def answer(session):
        session.rewind(0)
        return [session.feed([257, 7, 104, 0, 287, 7, 33, 33, 190, 12]), session.feed([5])]

    session = Session(model, context=16)
    expected = answer(session)
    assert threading.active_count() == 2
"""


def run(path: Path, script: str) -> str:
    """Return what a script prints behind `SETUP`, in a process of its own."""
    built_engine("c")
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SETUP) + textwrap.dedent(script), str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_fork_answers(path: Path) -> None:
    """With the session of its parent and with one of its own, and the parent goes on."""
    script = """
        time.sleep(0.05)  # the thread sleeps by then
        children = []
        for number in range(4):
            child = os.fork()
            if child == 0:
                mine = session if number % 2 else Session(model, context=16)
                for _ in range(5):
                    assert np.array_equal(answer(mine), expected)
                assert threading.active_count() == 2
                mine.close()
                print(f"child {number}", flush=True)
                os._exit(0)
            children.append(child)
            assert np.array_equal(answer(session), expected)
        assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    """
    answers = re.findall(r"child \d", run(path, script))  # lines of several processes may run into each other
    assert sorted(answers) == [f"child {number}" for number in range(4)]


def test_a_program_ends_with_sessions_open(path: Path) -> None:
    assert run(path, "print('done')") == "done\n"


def test_an_idle_session_can_be_closed(path: Path) -> None:
    script = """
        for seconds in (0, 0.05):  # still looking, and asleep
            session = Session(model, context=16)
            answer(session)
            time.sleep(seconds)
            session.close()
            session.close()
        print(threading.active_count())
    """
    assert run(path, script) == "1\n"


def test_an_idle_model_computes_nothing(path: Path) -> None:
    script = """
        time.sleep(0.05)
        before = time.process_time()
        time.sleep(0.5)
        print(time.process_time() - before)
    """
    assert float(run(path, script)) < 0.05  # a thread that looks all the time takes 0.5


# coming and going


def test_threads_end_with_their_sessions(model: EngineModel) -> None:
    gc.collect()  # sessions of tests before
    before = threading.active_count()
    for number in range(30):
        session = Session(model, context=16)
        session.feed(IDS)
        assert threading.active_count() == before + 2
        if number % 2:
            session.close()
        else:
            del session
            gc.collect()
        assert threading.active_count() == before


def test_threads_start_when_they_are_needed(model: EngineModel) -> None:
    before = threading.active_count()
    with Session(model, context=16), Session(model, context=16, threads=1) as alone, Session(model, context=16) as used:
        alone.feed(IDS)
        assert threading.active_count() == before
        used.feed(IDS)
        assert threading.active_count() == before + 2


def test_sessions_in_several_threads_of_the_host(model: EngineModel) -> None:
    """Each has threads of its own, but all sleep at one place."""
    with Session(model, context=16, threads=1) as alone:
        expected = alone.feed(IDS, all_logits=True)
    results: list[Any] = []

    def work() -> None:
        with Session(model, context=16) as session:
            for _ in range(20):
                session.rewind(0)
                results.append(session.feed(IDS, all_logits=True))

    hosts = [threading.Thread(target=work) for _ in range(4)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join(SECONDS)
    assert len(results) == 80
    for found in results:
        np.testing.assert_array_equal(found, expected)


# the pace


class Machine:
    """Passes whose seconds are made up."""

    def __init__(self, threads: int) -> None:
        self.pace = Pace(threads)

    def run(self, passes: int, seconds: dict[int, float]) -> list[int]:
        """Return how many threads computed each pass, given how long it takes by that number."""
        chosen = []
        for _ in range(passes):
            chosen.append(self.pace.choose())
            self.pace.learn(chosen[-1], seconds[chosen[-1]])
        return chosen


FREE = {1: 2.0, 2: 1.1}
"""Seconds of a pass where two processors are free."""
BUSY = {1: 2.2, 2: 7.0}
"""And where others keep one of them busy, so that two threads wait for each other."""


def test_all_threads_compute_where_that_is_faster() -> None:
    chosen = Machine(2).run(2000, FREE)
    assert chosen[:8] == [2] * 8
    assert chosen.count(1) < 40  # trials, which become rare
    assert chosen[-500:].count(1) <= 3


def test_one_thread_computes_where_others_are_busy() -> None:
    chosen = Machine(2).run(2000, BUSY)
    assert chosen[:11] == [2] * 8 + [1] * 3
    assert chosen[11:].count(2) < 40
    assert chosen[-500:].count(2) <= 3


def test_the_pace_follows_the_machine() -> None:
    machine = Machine(2)
    for _ in range(2):
        machine.run(2000, FREE)
        chosen = machine.run(100, BUSY)
        assert chosen[:10] == [2] * 2 + [1] * 8  # at once, since passes take longer than usual
        assert chosen.count(2) < 15
        machine.run(2000, BUSY)
        chosen = machine.run(1000, FREE)
        assert 2 in chosen  # with the next trial, though nothing became slow
        assert chosen[-100:].count(1) <= 3


def test_one_slow_pass_changes_nothing() -> None:
    machine = Machine(2)
    machine.run(12, FREE)
    machine.run(1, {1: 2.0, 2: 50.0})
    assert machine.run(5, FREE) == [2] * 5


def test_one_thread_has_no_choice() -> None:
    assert Machine(1).run(100, {1: 1.0}) == [1] * 100


def test_a_choice_between_one_and_all() -> None:
    chosen = Machine(4).run(200, {1: 2.0, 4: 1.0})
    assert set(chosen) == {1, 4}
