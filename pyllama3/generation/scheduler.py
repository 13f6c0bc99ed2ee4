"""Continuous batching: several texts are generated at once, a new one joins as soon as another has ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from ..arguments import integer
from ..errors import PyLlama3Error
from ..runtime.model import EngineModel
from ..runtime.state import BATCH, State
from .generation import Generation, Piece

MAX_SEQUENCES = 4096
"""Most texts that are generated at once: passes have a row for each."""


@dataclass(eq=False)
class _Slot:
    """A generation, and how many of its tokens the cache of its sequence holds."""

    generation: Generation
    sequence: int
    position: int = 0
    started: float = field(default_factory=time.perf_counter)


class Scheduler:
    """Runs generations side by side, each in a sequence of one cache. It is used by one thread at a time."""

    def __init__(self, model: EngineModel, *, context: int, sequences: int) -> None:
        """Allocate the cache of so many sequences.

        Raises:
            BackendError: there is not enough memory.
            OptionError: the number of sequences is out of range.
        """
        sequences = integer("the number of sequences", sequences, least=1, most=MAX_SEQUENCES)
        self._state = State(model, context=context, sequences=sequences, batch=max(BATCH, sequences))
        self._free = list(reversed(range(sequences)))
        self._slots: dict[Generation, _Slot] = {}

    @property
    def free(self) -> int:
        """How many generations can be added."""
        return len(self._free)

    @property
    def running(self) -> int:
        """How many generations have not ended."""
        return len(self._slots)

    def add(self, generation: Generation) -> None:
        """Let a generation take part from the next step on; there has to be a free sequence."""
        self._slots[generation] = _Slot(generation, self._free.pop())

    def remove(self, generation: Generation) -> None:
        """End a generation before it is finished."""
        self._free.append(self._slots.pop(generation).sequence)

    def step(self) -> list[tuple[Generation, Piece | PyLlama3Error]]:
        """Run one forward pass and return the next piece of each generation whose prompt has been read.

        An error in the middle of a text, by its grammar or by damaged weights, comes instead of its last piece.

        Texts in the making go first, with a row each; prompts share what is left of the batch.
        """
        state, row = self._state, 0
        sampling: list[_Slot] = []
        waiting = sorted(self._slots.values(), key=lambda slot: len(slot.generation.ids) - slot.position)
        for left, slot in zip(range(len(waiting), 0, -1), waiting, strict=True):
            ids = slot.generation.ids[slot.position :]
            count = min(len(ids), max(1, (state.batch - row) // left))
            rows = slice(row, row + count)
            state.tokens[rows] = ids[:count]
            state.positions[rows] = np.arange(slot.position, slot.position + count)
            state.sequence_ids[rows] = slot.sequence
            slot.position += count
            row += count
            if count == len(ids):
                state.logit_rows[len(sampling)] = row - 1
                sampling.append(slot)
        if row == 0:
            return []
        logits = state.forward(row, len(sampling))
        return [(slot.generation, self._next(slot, logits[n])) for n, slot in enumerate(sampling)]

    def _next(self, slot: _Slot, logits: np.ndarray) -> Piece | PyLlama3Error:
        generation = slot.generation
        if len(generation.ids) == generation.prompt_length:
            seconds = time.perf_counter() - slot.started
            generation.start(prompt_tokens=generation.prompt_length, prompt_seconds=seconds)
        try:
            self._state.model.check_logits(logits)
            piece = generation.next(logits.copy())
        except PyLlama3Error as error:
            self.remove(generation)
            return error
        if generation.finished:
            self.remove(generation)
        return piece
