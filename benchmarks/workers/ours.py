"""Measures the c backend."""

from __future__ import annotations

import random
import time

from protocol import serve

from pyllama3 import __version__
from pyllama3.backends import load_engine
from pyllama3.config import Precision
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.weights import load_weights


class Worker:
    """One model, with a session for each number of threads."""

    def describe(self) -> str:
        """Return name and version."""
        return f"pyllama3 {__version__}"

    def modes(self) -> list[str]:
        """Return the ways to compute that are to be compared: the usual one."""
        return ["default"]

    def load(self, path: str, context: int, threads: int, precision: Precision = "default") -> None:
        """Load a model, instead of the one before."""
        self._sessions: dict[int, Session] = {}
        self._model = EngineModel(load_engine("c"), load_weights(path), threads=threads, precision=precision)
        self._context = context

    def fill(self, mode: str, tokens: int, threads: int) -> None:
        """Make the sequence that long."""
        if threads not in self._sessions:
            self._sessions[threads] = Session(self._model, context=self._context, threads=threads)
        session = self._sessions[threads]
        if session.position < tokens:
            session.feed(self._tokens(tokens - session.position))
        session.rewind(tokens)

    def read(self, mode: str, tokens: int, threads: int) -> float:
        """Return the seconds that a prompt takes."""
        ids = self._tokens(tokens)
        started = time.perf_counter()
        self._sessions[threads].feed(ids)
        return time.perf_counter() - started

    def generate(self, mode: str, tokens: int, threads: int) -> float:
        """Return the seconds that so many single tokens take."""
        session, ids = self._sessions[threads], self._tokens(tokens)
        started = time.perf_counter()
        for id in ids:
            session.feed([id])
        return time.perf_counter() - started

    def _tokens(self, count: int) -> list[int]:
        return random.choices(range(self._model.config.vocab_size), k=count)


serve(Worker())
