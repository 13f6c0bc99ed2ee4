"""Actors that answer a batch together. Those that die are replaced, and what they worked on is given to others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .. import __version__
from ..errors import ClusterError
from ..server.answerer import Answer, Question
from .actor import Actor
from .connection import Share, last_line
from .orders import Order, Report

_DEATHS = 5
"""How often an actor may die before anybody has answered anything."""
_PATIENCE = 5.0
"""Seconds before a cluster without room is spoken of."""


@dataclass(eq=False)
class _Place:
    """An actor, or those that take its place one after the other, and what it works on."""

    handle: Any
    hello: Any
    """Promise of its report; None once it is there."""
    questions: dict[Any, Question] = field(default_factory=dict)
    """By the promise of the answer."""
    deaths: int = 0
    """Since the last answer of anybody."""


class Pool:
    """Answers questions by actors of a cluster; it is an `Answerer`, used by one thread."""

    def __init__(self, ray: Any, share: Share, order: Order, *, say: Callable[[str], object] = lambda _: None) -> None:
        """Ask a cluster for actors; `say` is told in a line what the user should know."""
        self._ray = ray
        self._order = order
        self._processors = share.processors
        self._say = say
        self._most = order.parallel + max(1, order.parallel // 4)
        """Questions of an actor: some wait there, so that it never does."""
        self._class = ray.remote(Actor).options(num_cpus=share.processors, max_restarts=0, scheduling_strategy="SPREAD")
        self._again: deque[Question] = deque()
        self._failed: list[str] = []
        self._bits: Report | None = None
        self._started: float | None = time.monotonic()
        self._places = [_Place(*self._begin()) for _ in range(share.actors)]

    def _begin(self) -> tuple[Any, Any]:
        handle = self._class.remote(self._order)
        return handle, handle.report.remote()

    @property
    def free(self) -> int:
        """How many more questions there is room for at the moment."""
        return sum(self._room(place) for place in self._places) - len(self._again)

    def _room(self, place: _Place) -> int:
        return 0 if place.hello is not None else self._most - len(place.questions)

    def add(self, question: Question) -> None:
        """Take a question; there has to be room."""
        place = max(self._places, key=self._room)
        place.questions[place.handle.answer.remote(question.url, question.body)] = question

    def wait(self) -> Sequence[Answer]:
        """Wait until something happens to an actor, and return the answers that are ready.

        Raises:
            ClusterError: no actor can load the model, or they die and die, or there is no machine any more.
        """
        while self._again and any(self._room(place) for place in self._places):
            self.add(self._again.popleft())
        promises = {place.hello: place for place in self._places if place.hello is not None}
        promises |= {promise: place for place in self._places for promise in place.questions}
        self._ray.wait(list(promises), timeout=_PATIENCE)
        ready, _ = self._ray.wait(list(promises), num_returns=len(promises), timeout=0)
        if not ready and not any(node["Alive"] for node in self._ray.nodes()):
            raise ClusterError("no machine of the cluster is left; on another one, the same command goes on")
        self._mind_room()
        answers = []
        for promise in ready:
            place = promises[promise]
            if promise != place.hello and promise not in place.questions:
                continue  # of an actor that was found dead a moment ago
            try:
                result = self._ray.get(promise)
            except self._ray.exceptions.RayError as error:
                self._replace(place, error)
                continue
            if isinstance(result, Report):
                self._welcome(place, result)
            else:
                answers.append(Answer(place.questions.pop(promise), *result))
        if answers:
            self._progress()
        return answers

    def _progress(self) -> None:
        for place in self._places:
            place.deaths = 0
        for text in self._failed:
            self._say(f"{text}; the others go on without it")
        self._failed.clear()

    def _mind_room(self) -> None:
        """Tell once that actors find no room, if none has been found for a while."""
        if self._started is None or time.monotonic() < self._started + _PATIENCE:
            return
        self._started = None
        has = self._ray.cluster_resources().get("CPU", 0)
        if has < self._processors:
            self._say(f"waiting for room: an actor needs {self._processors} processors, and the cluster has {has:g}")

    def _welcome(self, place: _Place, report: Report) -> None:
        """Give an actor work from now on, if it has what the others have."""
        place.hello = self._started = None
        error = f"{report.machine}: {report.error}" if report.error else ""
        if report.version != __version__:
            error = f"{report.machine}: pyllama3 {report.version} is there, {__version__} here"
        if error:
            self._places.remove(place)
            self._ray.kill(place.handle)
            if error not in self._failed:
                self._failed.append(error)
            if not self._places:
                raise ClusterError(self._failed[0])
        elif self._bits is None:
            self._bits = report
        elif report.bits != self._bits.bits:
            self._say(
                f"{report.machine} computes other numbers than {self._bits.machine}, by another model file or "
                "processor: answers depend on where they come from"
            )

    def _replace(self, place: _Place, error: Exception) -> None:
        """Begin another actor in place of one that has died, and keep what it worked on for whoever has room."""
        with suppress(Exception):  # it may not be dead, but out of reach
            self._ray.kill(place.handle)
        place.deaths += 1
        if place.deaths >= _DEATHS:
            lines = ", ".join(str(question.number) for question in place.questions.values())
            what = f"while it worked on line {lines}" if lines else "while it loaded the model"
            raise ClusterError(
                f"an actor died {_DEATHS} times before anything was answered, at last {what}: {last_line(error)}"
            )
        self._again.extend(place.questions.values())
        place.questions.clear()
        place.handle, place.hello = self._begin()
