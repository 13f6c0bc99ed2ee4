"""What stands in the buffers of a pass, for those who look inside: `compare` and `explain`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .state import State

Array = NDArray[np.float64]


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
