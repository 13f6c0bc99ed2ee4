"""Arrays for engines that work on numpy's memory."""

from __future__ import annotations

import mmap
import sys
from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import BackendError


def zeros(dtype: str, length: int, *, sparse: bool) -> np.ndarray:
    """Return zeros, which take memory page by page once they are written.

    Large arrays get pages of 2 MB where the system has them, so that a cache with a little in each head would take
    nearly all of its memory at once; those with `sparse` get small ones.

    Raises:
        BackendError: there is not enough memory.
    """
    size = length * np.dtype(dtype).itemsize
    try:
        if not sparse or size == 0 or sys.platform == "win32":
            return np.zeros(length, dtype)
        mapped: Any = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            with suppress(OSError):  # a kernel that has no such pages does not know the word
                mapped.madvise(mmap.MADV_NOHUGEPAGE)
        return np.frombuffer(mapped, dtype)
    except (MemoryError, ValueError, OverflowError, OSError):
        raise BackendError(f"no memory for {length} numbers of type {dtype}") from None
