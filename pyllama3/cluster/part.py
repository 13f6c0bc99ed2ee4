"""What runs on other machines: a part of a model, and caches for it."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends import load_engine
from ..cpu import choose_threads
from ..errors import PyLlama3Error
from ..model_files import read_model
from ..runtime.model import EngineModel
from ..runtime.state import State
from ..weights.parts import take_part
from .orders import Order, Report

Batch = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]
"""Tokens, positions and sequences of rows, and which of them get logits."""


class Part:
    """Neighbouring layers of a model in a process that Ray runs. Calls are done one after the other."""

    def __init__(self, order: Order, layers: range) -> None:
        """Load the layers; `report` tells whether they are there."""
        machine = socket.gethostname()
        options = dict(order.options)
        self._states: dict[int, State] = {}
        try:
            order.check_files()
            threads = choose_threads(options.pop("threads"))
            engine = load_engine(options.pop("backend"))
            computing = {name: options.pop(name) for name in ("precision", "cache_type")}
            part = take_part(read_model(order.model, **options).weights, layers)
            self._model = EngineModel(engine, part, threads=threads, **computing)
            self._report = Report(machine=machine)
        except PyLlama3Error as error:
            self._report = Report(machine=machine, error=str(error))

    def report(self) -> Report:
        """Return what has become of the order."""
        return self._report

    def open(self, key: int, sizes: dict[str, Any]) -> PyLlama3Error | None:
        """Allocate caches; return what keeps it from that."""
        try:
            self._states[key] = State(self._model, **sizes)
        except PyLlama3Error as error:
            return error
        return None

    def forward(
        self, key: int, batch: Batch, before: NDArray[np.float32] | PyLlama3Error | None
    ) -> NDArray[np.float32] | PyLlama3Error:
        """Go on from the residual stream (rows, dim) that the part before leaves; return ours, or the logits."""
        if isinstance(before, PyLlama3Error):
            return before
        state = self._states[key]
        rows, wanted = len(batch[0]), len(batch[3])
        for ours, theirs in zip((state.tokens, state.positions, state.sequence_ids), batch, strict=False):
            ours[:rows] = theirs
        state.logit_rows[:wanted] = batch[3]
        try:
            after: NDArray[np.float32] = state.forward(rows, wanted, before).copy()
        except PyLlama3Error as error:
            return error
        return after

    def copy(self, key: int, source: int, target: int, positions: int) -> None:
        """Copy the first positions of one sequence to another."""
        self._states[key].copy(source, target, positions)

    def clear(self, key: int, sequence: int) -> None:
        """Overwrite what a sequence holds."""
        self._states[key].clear(sequence)

    def close(self, key: int) -> None:
        """Let go of caches."""
        self._states.pop(key).close()
