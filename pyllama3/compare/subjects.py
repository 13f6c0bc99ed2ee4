"""What can be compared: engines, and the numpy reference, which run the same tokens stage by stage."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import BackendError
from ..session import EngineModel, State
from ..weights import Weights
from .metrics import Array
from .reference import Record, ReferenceModel
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


class DequantizedTensors(Mapping[str, Array]):
    """The tensors of a model in float64, each widened when it is asked for."""

    def __init__(self, weights: Weights) -> None:
        self._tensors = weights.tensors

    def __getitem__(self, name: str) -> Array:
        return self._tensors[name].dequantize().astype(np.float64)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def reference_model(weights: Weights) -> ReferenceModel:
    """Return the reference over the weights of a model."""
    return ReferenceModel(weights.config, DequantizedTensors(weights))


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
        native, config = state.native, self.model.config
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

        run(EMBEDDING, (native.prepare, rows), (native.embed, rows))
        for layer in range(config.layers):
            run(Stage(ATTENTION, layer), (native.attention_branch, layer, rows))
            run(Stage(FEED_FORWARD, layer), (native.feed_forward_branch, layer, rows))
        run(HEAD, (native.head, rows))
        return seconds

    def new_state(self, length: int) -> State:
        """Return a state for one sequence of so many tokens, which may be one batch."""
        return State(self.model, context=length, batch=length)


def fill(state: State, ids: Sequence[int], rows: range) -> None:
    """Make a batch of some rows, whose numbers are their positions, and ask for the logits of each, see `read_head`."""
    count = len(rows)
    state.tokens[:count] = ids[rows.start : rows.stop]
    state.positions[:count] = rows
    state.sequence_ids[:count] = 0
    state.logit_rows[:count] = range(count - 1, -1, -1)


def passes(length: int) -> list[range]:
    """Cut the rows into passes: all but the last row, and the last, as a prompt and the first generated token are.

    Engines multiply many vectors with other kernels than one, and both are to be compared.
    """
    return [range(length)] if length == 1 else [range(length - 1), range(length - 1, length)]


def read(state: State, buffer: str, rows: int, *shape: int) -> Array:
    """Return a copy of the first rows (rows, *shape) of a buffer."""
    return state.buffer(buffer)[: rows * int(np.prod(shape))].reshape(rows, *shape).astype(np.float64)


def read_head(state: State, buffer: str, rows: int, *shape: int) -> Array:
    """Return a copy of what the head left in a buffer for the rows of a batch made by `fill`.

    It is asked for the last row first, so that a head that takes other rows than the wanted ones gives other results.
    """
    return read(state, buffer, rows, *shape)[::-1]
