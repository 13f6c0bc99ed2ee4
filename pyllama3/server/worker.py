"""The thread that generates all texts: it owns the scheduler, has a queue in front of it, and knows nothing of HTTP."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import BusyError
from ..generation.generation import Generation, Piece
from ..generation.scheduler import Scheduler

MOST_WAITING = 256
"""Texts in the queue: each has its sampler's memory."""
_LONG = 128
"""Tokens from which on a prompt is long: it does not get the last place while others are being read."""

Deliver = Callable[[Piece | Exception], None]
"""Receives the pieces of a text, or what has ended it. The worker's thread calls it: it must not wait nor fail."""


@dataclass(eq=False)
class _Job:
    generation: Generation
    deliver: Deliver


class Worker:
    """Generates texts side by side. Its methods may be called by any thread."""

    def __init__(self, scheduler: Scheduler) -> None:
        """Take over a scheduler."""
        self._scheduler = scheduler
        self._changed = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._running: dict[Generation, _Job] = {}
        self._cancelled: set[Generation] = set()
        self._stopping: Exception | None = None
        self._pace = _Pace(scheduler.batch)
        self._thread = threading.Thread(target=self._work, name="pyllama3 worker", daemon=True)
        self._thread.start()

    @property
    def running(self) -> int:
        """How many texts have a place."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many texts are in the queue."""
        return len(self._waiting)

    def submit(self, generation: Generation, deliver: Deliver) -> None:
        """Queue a text.

        Raises:
            BusyError: the queue is full, or the worker is being stopped.
        """
        with self._changed:
            if self._stopping is not None:
                raise BusyError("the server is being stopped")
            if len(self._waiting) >= MOST_WAITING:
                raise BusyError(f"{MOST_WAITING} requests are waiting already; try again later")
            self._waiting.append(_Job(generation, deliver))
            self._changed.notify()

    def cancel(self, generation: Generation) -> None:
        """End a text that nobody waits for any more, in whatever phase it is; nothing more is delivered."""
        with self._changed:
            self._cancelled.add(generation)
            self._changed.notify()

    def stop(self, reason: Exception) -> None:
        """End all texts with an error, and the thread."""
        with self._changed:
            self._stopping = reason
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while self._prepare():
            started, reads_all_it_may = time.monotonic(), self._scheduler.reading >= self._pace.rows
            try:
                pieces = self._scheduler.step(self._pace.rows)
            except Exception as error:  # such as too little memory: the texts of this step are lost, not the server
                self._fail_all(error)
                continue
            self._pace.learn(time.monotonic() - started, reads_all_it_may)
            for generation, piece in pieces:
                job = self._running[generation]
                if isinstance(piece, Exception) or generation.finished:
                    del self._running[generation]
                job.deliver(piece)

    def _prepare(self) -> bool:
        """Drop what is cancelled, let in what is waiting, and wait for work; return whether to go on."""
        while self._stopping is None:
            with self._changed:
                cancelled, self._cancelled = self._cancelled, set()
                self._waiting = deque(job for job in self._waiting if job.generation not in cancelled)
                waiting = list(self._waiting)
            for generation in cancelled & self._running.keys():
                del self._running[generation]
                self._scheduler.remove(generation)
            admitted = self._admit(waiting)
            with self._changed:
                for job in admitted:
                    self._waiting.remove(job)
                if self._running:
                    return True
                self._changed.wait_for(lambda: self._waiting or self._cancelled or self._stopping)
        self._end_all(self._stopping)
        return False

    def _end_all(self, reason: Exception) -> None:
        with self._changed:
            jobs = [*self._running.values(), *self._waiting]
            self._running.clear()
            self._waiting.clear()
        for job in jobs:
            job.deliver(reason)

    def _fail_all(self, error: Exception) -> None:
        jobs = list(self._running.values())
        self._running.clear()
        self._scheduler.clear()
        for job in jobs:
            job.deliver(error)

    def _admit(self, waiting: Sequence[_Job]) -> list[_Job]:
        """Give free places to those that wait, in the order in which they came, except who had better wait."""
        admitted = []
        for job in waiting:
            if not self._scheduler.free:
                break
            if not self._had_better_wait(job.generation):
                self._scheduler.add(job.generation)
                self._running[job.generation] = job
                admitted.append(job)
        return admitted

    def _had_better_wait(self, generation: Generation) -> bool:
        scheduler = self._scheduler
        if not scheduler.reading:
            return False
        is_last = scheduler.free == 1 and scheduler.running > 0
        if is_last and scheduler.reading >= _LONG and scheduler.unknown(generation) >= _LONG:
            return True
        return scheduler.is_worth_waiting(generation)


class _Pace:
    """Chooses how many rows a pass may have, so that streams do not stall and who has left is noticed soon."""

    _SECONDS = 0.15
    """What a pass should take at most."""
    _LEAST = 8

    def __init__(self, most: int) -> None:
        self._most = most
        self.rows = 2 * self._LEAST
        """How many rows the next pass may have; it starts low, since models differ a lot."""

    def learn(self, seconds: float, was_full: bool) -> None:
        """Take into account how long a pass took, and whether it had all rows that it might have."""
        if not was_full:
            return
        factor = min(2.0, self._SECONDS / seconds)
        self.rows = max(self._LEAST, min(self._most, int(self.rows * factor)))
