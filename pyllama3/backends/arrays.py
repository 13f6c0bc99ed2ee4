"""Arrays for engines that work on numpy's memory."""

from __future__ import annotations

import ctypes
import mmap
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BackendError

if TYPE_CHECKING:
    from .engine import Engine

_LARGE_PAGE = 2 << 20
_MADV_COLLAPSE = 25  # since Linux 6.1: at once


def zeros(dtype: str, length: int, *, sparse: bool) -> np.ndarray:
    """Return zeros, which take memory page by page once they are written.

    Large arrays get pages of 2 MB where the system has them, so that a cache with a little in each head would take
    nearly all of its memory at once; those with `sparse` get small ones.

    Raises:
        BackendError: there is not enough memory.
    """
    size = length * np.dtype(dtype).itemsize
    advice = getattr(mmap, "MADV_NOHUGEPAGE" if sparse else "MADV_HUGEPAGE", None)
    try:
        if size < _LARGE_PAGE or advice is None:
            return np.zeros(length, dtype)
        mapped: Any = mmap.mmap(-1, size + _LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError):  # a kernel that has no such pages does not know the word
            mapped.madvise(advice)
        memory = np.frombuffer(mapped, np.uint8)
        return memory[-memory.ctypes.data % _LARGE_PAGE :][:size].view(dtype)  # starts where a large page does
    except (MemoryError, ValueError, OverflowError, OSError):
        raise BackendError(f"no memory for {length} numbers of type {dtype}") from None


def enlarge_pages(array: np.ndarray) -> None:
    """Move an array of `zeros` with `sparse`, of which much is in use now, to pages of 2 MB, if the system has them."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return
    start, size = array.__array_interface__["data"][0], array.nbytes
    madvise = ctypes.CDLL(None).madvise
    for advice in (mmap.MADV_HUGEPAGE, _MADV_COLLAPSE):  # a kernel that does not know the words changes nothing
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), advice)


class Pool:
    """Carves arrays out of large ones, whose pages of 2 MB processors read faster than small ones."""

    _SIZE = 64 << 20
    _ALIGNMENT = 64  # a cache line

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._free = np.empty(0, np.uint8)

    def take(self, dtype: str, length: int) -> Any:
        """Return an array of zeros, to pass to methods of the engine.

        Raises:
            BackendError: there is not enough memory.
        """
        return self._engine.view(self._carve(length * np.dtype(dtype).itemsize), dtype)

    def copy(self, data: np.ndarray, dtype: str) -> Any:
        """Return an array with the same bytes as `data` (uint8), to pass to methods of the engine.

        Raises:
            BackendError: there is not enough memory.
        """
        carved = self._carve(data.size)
        carved[:] = data.reshape(-1)
        return self._engine.view(carved, dtype)

    def _carve(self, size: int) -> np.ndarray:
        taken = -(-size // self._ALIGNMENT) * self._ALIGNMENT
        if taken > self._free.size:
            array = self._engine.empty("uint8", max(taken, self._SIZE) + self._ALIGNMENT)
            memory = self._engine.numpy(array, "uint8")
            self._free = memory[-memory.ctypes.data % self._ALIGNMENT :]
        carved, self._free = self._free[:size], self._free[taken:]
        return carved
