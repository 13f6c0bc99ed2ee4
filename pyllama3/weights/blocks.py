"""Fields of blocks as numpy arrays: (blocks, bytes) to (blocks, values)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def halves(blocks: Bytes, start: int) -> Floats:
    """The half at byte `start` of every block, as a column (blocks, 1)."""
    halves: NDArray[np.float16] = blocks[:, start : start + 2].copy().view("<f2")
    return halves.astype(np.float32)


def fields(quants: Bytes, bits: int, group: int) -> Bytes:
    """Numbers of `bits` bits of which each byte holds several, the lowest first.

    A group of bytes holds the first field of all its bytes, then the second, and so on: (blocks, n) bytes to
    (blocks, n * 8 / bits).
    """
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    fields: Bytes = quants.reshape(len(quants), -1, 1, group) >> shifts & np.uint8((1 << bits) - 1)
    return fields.reshape(len(quants), -1)


def scaled(scales: Floats, quants: NDArray[Any]) -> Floats:
    """Multiply the scale of each run: (blocks, runs) and (blocks, 256)."""
    runs = quants.reshape(*scales.shape, -1).astype(np.float32)
    return (scales[..., None] * runs).reshape(quants.shape)
