"""What can be compared: engines, and the numpy reference, which run the same tokens stage by stage."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...errors import BackendError
from ...runtime.model import EngineModel
from ...runtime.probe import fill, passes, read, read_head
from ...runtime.state import State
from ...weights import Weights
from ..dequantized import reference_model
from ..metrics import Array
from ..reference import Record
from .tolerances import EXACT, Tolerance, tolerance_of

REFERENCE = "reference"
"""Name of the numpy reference among the backends."""


class Stage(NamedTuple):
    """A stage of the forward pass, and its layer, if it is in one."""

    name: str
    layer: int | None = None

    @property
    def place(self) -> str:
        """The layer, or the name of what is outside of layers."""
        return self.name if self.layer is None else f"layer {self.layer}"

    def __str__(self) -> str:
        return self.name if self.layer is None else f"layer {self.layer} {self.name}"


EMBEDDING, HEAD = Stage("embedding"), Stage("head")
ATTENTION, FEED_FORWARD = "attention", "feed-forward"


@dataclass(frozen=True)
class Trace:
    """What each stage left: the residual stream (T, D), after the head the logits (T, V)."""

    stages: dict[Stage, Array]
    seconds: float

    def before(self, layer: int) -> Array:
        """Return the residual stream (T, D) that a layer gets."""
        return self.stages[Stage(FEED_FORWARD, layer - 1) if layer else EMBEDDING]


class Subject(Protocol):
    """Something that runs tokens through a model."""

    label: str
    weights: Weights

    @property
    def tolerance(self) -> Tolerance:
        """How far its results may be from the true ones."""

    def run(self, ids: Sequence[int]) -> Trace:
        """Run tokens from position 0 on and return what each stage leaves."""


class ReferenceSubject:
    """The numpy reference."""

    tolerance = EXACT

    def __init__(self, label: str, weights: Weights) -> None:
        self.label = label
        self.weights = weights

    def run(self, ids: Sequence[int]) -> Trace:
        """Run tokens from position 0 on and return what each stage leaves."""
        started = time.perf_counter()
        model = reference_model(self.weights)
        cache = model.cache()
        x = model.embed(ids)
        stages = {EMBEDDING: x}
        for layer in range(model.config.layers):
            record: Record = {}
            x = model.layer(layer, x, cache, record)
            stages[Stage(ATTENTION, layer)] = record[f"blk.{layer}.attn_residual"]
            stages[Stage(FEED_FORWARD, layer)] = x
        stages[HEAD] = model.head(x)
        return Trace(stages, time.perf_counter() - started)


class EngineSubject:
    """A model in an engine."""

    def __init__(self, label: str, weights: Weights, model: EngineModel) -> None:
        self.label = label
        self.weights = weights
        self.model = model
        self.tolerance = tolerance_of(model)

    def run(self, ids: Sequence[int]) -> Trace:
        """Run tokens from position 0 on and return what each stage leaves."""
        state = self.new_state(len(ids))
        parts: list[dict[Stage, Array]] = []
        seconds = 0.0
        for rows in passes(len(ids)):
            fill(state, ids, rows)
            part: dict[Stage, Array] = {}
            parts.append(part)
            seconds += self._run_pass(state, len(rows), part)
        return Trace({stage: np.concatenate([part[stage] for part in parts]) for stage in parts[0]}, seconds)

    def _run_pass(self, state: State, rows: int, stages: dict[Stage, Array]) -> float:
        """Run a pass stage by stage; return the seconds that it took without the copies."""
        core, config = state.core, self.model.config
        seconds = 0.0

        def run(stage: Stage, *calls: tuple[Any, ...]) -> None:
            nonlocal seconds
            started = time.perf_counter()
            try:
                for call, *arguments in calls:
                    call(*arguments)
            except Exception as error:  # generated Python may index out of bounds or divide by zero
                place = traceback.extract_tb(error.__traceback__)[-1].name
                raise BackendError(
                    f"{self.label} fails in '{place}', at {stage}: {type(error).__name__}: {error}"
                ) from error
            seconds += time.perf_counter() - started
            if stage == HEAD:
                stages[stage] = read_head(state, "LOGITS", rows, config.vocab_size)
            else:
                stages[stage] = read(state, "RESIDUAL", rows, config.dim)

        run(EMBEDDING, (core.prepare, rows), (core.embed, rows))
        for layer in range(config.layers):
            run(Stage(ATTENTION, layer), (core.attention_branch, layer, rows))
            run(Stage(FEED_FORWARD, layer), (core.feed_forward_branch, layer, rows))
        run(HEAD, (core.head, rows))
        return seconds

    def new_state(self, length: int) -> State:
        """Return a state for one sequence of so many tokens, which may be one batch."""
        return State(self.model, context=length, batch=length)
