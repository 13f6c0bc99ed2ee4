"""Threads that compute a pass together, and how many of them are worth it at the moment."""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections import deque
from statistics import median
from typing import Any

from ..backends import Engine


class Workers:
    """Threads that wait inside an engine for the passes of one state; they are started when first needed.

    A child of `fork()` has none of its parent's threads and starts its own.
    """

    def __init__(self, engine: Engine, core: Any) -> None:
        self._team = core.get_threads()
        self._core = core
        self._gate = engine.empty("int32", engine.Team.GATE_LENGTH)
        self._engine = engine
        self._started: list[threading.Thread] = []
        self._process = os.getpid()
        self._team.set_gate(self._gate)
        if engine.has_threads:
            _watch_forks(engine.Team)
        self.dismiss = weakref.finalize(self, _dismiss, self._team, self._started, self._process)

    def start(self, count: int) -> None:
        """Have so many threads beside the caller's."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._engine.numpy(self._gate, "int32")[:] = 0
            self._started.clear()
            self.dismiss.detach()
            self.dismiss = weakref.finalize(self, _dismiss, self._team, self._started, self._process)
        call = self._team.get_call()
        for number in range(len(self._started) + 1, count + 1):
            thread = threading.Thread(target=self._core.work, args=(number, call), daemon=True)
            thread.start()
            self._started.append(thread)


@functools.cache
def _watch_forks(team: Any) -> None:
    """Have an engine forget in children of `fork()` which threads sleep, once for each child: none of them is there."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=team.reset)


def _dismiss(team: Any, threads: list[threading.Thread], process: int) -> None:
    if threads and process == os.getpid():
        team.dismiss()
        for thread in threads:
            thread.join()


class Pace:
    """Chooses how many threads compute: all that are allowed, or one where others keep the processors busy.

    It learns from the seconds that passes of one kind take: now and then, and when they become slow, it tries the other
    choice for a few passes. What is computed does not depend on it.
    """

    _TRIALS = 3
    """Passes whose median counts."""
    _FIRST, _LAST = 8, 512
    """Passes between trials, which become rarer as long as they change nothing."""
    _SLOW = 1.3
    """How much longer than usual passes take for a trial to come early."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._chosen = threads
        self._seconds = {count: deque[float](maxlen=self._TRIALS) for count in (1, threads)}
        self._interval = self._FIRST
        self._left = self._FIRST
        self._usual = float("inf")

    def choose(self) -> int:
        """Return with how many threads to run the next pass."""
        return self._chosen if self._left > 0 else self._other

    def learn(self, threads: int, seconds: float) -> None:
        """Remember how long a pass took."""
        if self._threads == 1:
            return
        mine, theirs = self._seconds[self._chosen], self._seconds[self._other]
        self._seconds[threads].append(seconds)
        if threads == self._chosen:
            self._left -= 1
            if len(mine) == self._TRIALS and median(mine) > self._SLOW * self._usual:
                self._left = 0
            return
        if len(theirs) < self._TRIALS:
            return
        if median(theirs) < median(mine):
            self._chosen = self._other
            self._interval = self._FIRST
        else:
            self._interval = min(2 * self._interval, self._LAST)
        self._left = self._interval
        self._usual = min(median(mine), median(theirs))
        self._seconds[self._other].clear()

    @property
    def _other(self) -> int:
        return self._threads if self._chosen == 1 else 1
