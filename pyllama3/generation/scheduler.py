"""Continuous batching: several texts are generated at once, a new one joins as soon as another has ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arguments import integer
from ..errors import PyLlama3Error
from ..runtime.model import Model
from ..runtime.passes import MakePasses
from ..runtime.state import BATCH, State
from .generation import Generation, Piece
from .places import Places, common_length

_SHORT = 64
"""Rows that a short prompt gets at once, so that it does not wait for long ones."""
_WORTH = 32
"""Tokens of another prompt that are worth waiting for."""

MAX_SEQUENCES = 4096
"""Most texts that are generated at once: passes have a row for each."""


@dataclass(eq=False)
class _Slot:
    """A generation, its place in the cache, and how many of its tokens are there."""

    generation: Generation
    place: int
    position: int
    known: int
    """Tokens of the prompt that were there before."""
    started: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> int:
        """How many tokens have to be read before the next can be sampled."""
        return len(self.generation.ids) - self.position

    @property
    def is_reading(self) -> bool:
        """Whether its prompt has not been read yet."""
        return self.position < self.generation.prompt_length


class Scheduler:
    """Runs generations side by side, each in a sequence of one cache. It is used by one thread at a time.

    A text takes over what the cache has of its beginning: of earlier texts, until their places are needed, and of those
    in the making.
    """

    def __init__(self, model: Model, *, context: int, sequences: int, make_passes: MakePasses = State) -> None:
        """Allocate the cache of so many sequences.

        Raises:
            BackendError: there is not enough memory.
            OptionError: the number of sequences is out of range.
        """
        sequences = integer("the number of sequences", sequences, least=1, most=MAX_SEQUENCES)
        self._state = make_passes(model, context=context, sequences=sequences, batch=max(BATCH, sequences))
        self._places = Places(self._state, sequences)
        self._slots: dict[Generation, _Slot] = {}

    @property
    def batch(self) -> int:
        """Most rows of a pass."""
        return self._state.batch

    @property
    def cache_bytes(self) -> int:
        """Memory that the cache takes at most."""
        return self._state.cache_bytes

    @property
    def free(self) -> int:
        """How many generations can be added."""
        return self._places.free

    @property
    def running(self) -> int:
        """How many generations have not ended."""
        return len(self._slots)

    @property
    def reading(self) -> int:
        """How many tokens of prompts are still to be read."""
        return sum(slot.left for slot in self._slots.values() if slot.is_reading)

    def unknown(self, generation: Generation) -> int:
        """Return how many tokens of a prompt would have to be read if it was added now."""
        return len(generation.ids) - self._places.known(generation.ids)

    def is_worth_waiting(self, generation: Generation) -> bool:
        """Tell whether a prompt that is being read at the moment begins like this one: later, it could be shared."""
        known = self._places.known(generation.ids)
        return any(
            common_length(slot.generation.ids, generation.ids[:-1]) >= known + _WORTH
            for slot in self._slots.values()
            if slot.is_reading
        )

    def add(self, generation: Generation) -> None:
        """Let a generation take part from the next step on; there has to be a free place."""
        place, known = self._places.take(generation.ids)
        self._slots[generation] = _Slot(generation, place, known, known)

    def remove(self, generation: Generation) -> None:
        """End a generation before it is finished."""
        self._places.give_back(self._slots.pop(generation).place)

    def clear(self) -> None:
        """End all generations and forget what is in their places, after a pass that has failed."""
        for slot in self._slots.values():
            self._places.give_back(slot.place, sound=False)
        self._slots.clear()

    def step(self, most_rows: int | None = None) -> list[tuple[Generation, Piece | PyLlama3Error]]:
        """Run one forward pass and return the next piece of each generation whose prompt has been read.

        An error in the middle of a text, by its grammar or by damaged weights, comes instead of its last piece.

        Texts in the making go first, with a row each; prompts share what is left of the batch or, if that is less, of
        `most_rows`, but each gets one.
        """
        state = self._state
        most = min(state.batch, most_rows or state.batch)
        row = 0
        sampling: list[_Slot] = []
        slots = sorted(self._slots.values(), key=lambda slot: slot.left)
        for others, slot in zip(range(len(slots) - 1, -1, -1), slots, strict=True):
            room = most - row - others
            count = max(1, min(slot.left, max((most - row) // (others + 1), min(_SHORT, room))))
            ids = slot.generation.ids[slot.position : slot.position + count]
            self._fill(slot, row, ids)
            row += count
            if slot.left == 0:
                state.logit_rows[len(sampling)] = row - 1
                sampling.append(slot)
        if row == 0:
            return []
        logits = state.forward(row, len(sampling))
        return [(slot.generation, self._next(slot, logits[n])) for n, slot in enumerate(sampling)]

    def _fill(self, slot: _Slot, row: int, ids: Sequence[int]) -> None:
        rows = slice(row, row + len(ids))
        self._state.tokens[rows] = ids
        self._state.positions[rows] = np.arange(slot.position, slot.position + len(ids))
        self._state.sequence_ids[rows] = slot.place
        self._places.extend(slot.place, ids)
        slot.position += len(ids)

    def _next(self, slot: _Slot, logits: NDArray[np.float32]) -> Piece | PyLlama3Error:
        generation = slot.generation
        if len(generation.ids) == generation.prompt_length:
            seconds = time.perf_counter() - slot.started
            generation.start(prompt_tokens=generation.prompt_length - slot.known, prompt_seconds=seconds)
        sound = False
        try:
            self._state.model.check_logits(logits)
            sound = True
            piece = generation.next(logits.copy())
        except PyLlama3Error as error:
            del self._slots[generation]
            self._places.give_back(slot.place, sound=sound)
            return error
        if generation.finished:
            self.remove(generation)
        return piece
