"""Engines whose code has a memory of its own: arrays are made in it, and others are copied to it."""

from __future__ import annotations

import bisect
import ctypes
import threading
import weakref
from typing import Any

import numpy as np

from ..errors import BackendError
from .binding import CompiledEngine

_ALIGNMENT = 64  # a cache line


class Memory:
    """Memory that the code can use, and this process, too; it grows, but never moves."""

    def __init__(self, base: int, there: int) -> None:
        """Take a memory without room for arrays, its address in this process, and what the code takes for that."""
        self.lock = threading.RLock()  # a finalizer may run while its thread has the lock
        self._base = base
        self._there = there
        self._end = 0
        """Where the room for arrays ends; offsets count from the base."""
        self._used = 0
        """Where what has ever been used of it ends: behind that, all is zero."""
        self._free: list[tuple[int, int]] = []
        """Starts and ends of what is free, in order."""

    def grow(self, size: int) -> tuple[int, int] | None:
        """Return the start and the end of room for arrays that has been added, None if there is not that much."""
        raise NotImplementedError

    def holds(self, address: int, size: int) -> bool:
        """Tell whether an array at an address of this process lies in the room for arrays."""
        return self._base <= address and address + size <= self._base + self._end

    def locate(self, address: int, size: int) -> int:
        """Return what the code takes for the address of an array.

        Raises:
            ValueError: it lies elsewhere.
        """
        if not self.holds(address, size):
            raise ValueError("an array is not in the memory of the engine; arrays for methods come from empty or view")
        return address - self._base + self._there

    def allocate(self, size: int) -> np.ndarray:
        """Return an array of bytes, all zero, which is freed with its last view.

        Raises:
            MemoryError: there is not enough.
        """
        reserved = max(1, -(-size // _ALIGNMENT)) * _ALIGNMENT
        with self.lock:
            start = self._take(reserved)
            used, self._used = self._used, max(self._used, start + reserved)
        buffer: Any = (ctypes.c_uint8 * reserved).from_address(self._base + start)
        weakref.finalize(buffer, self._give, start, start + reserved).atexit = False
        array: np.ndarray = np.frombuffer(buffer, np.uint8)
        array[: max(0, used - start)] = 0
        return array[:size]

    def _take(self, size: int) -> int:
        for index, (start, end) in enumerate(self._free):
            if end - start >= size:
                self._free[index : index + 1] = [(start + size, end)] if end - start > size else []
                return start
        added = self.grow(size)
        if added is None:
            raise MemoryError
        self._end = max(self._end, added[1])
        self._give(*added)
        return self._take(size)

    def _give(self, start: int, end: int) -> None:
        with self.lock:
            index = bisect.bisect(self._free, (start, end))
            if index < len(self._free) and self._free[index][0] == end:
                end = self._free.pop(index)[1]
            if index > 0 and self._free[index - 1][1] == start:
                index -= 1
                start = self._free.pop(index)[0]
            self._free.insert(index, (start, end))


class MemoryEngine(CompiledEngine):
    """An engine with a memory of its own, one thread at a time."""

    has_threads = False

    def __init__(self, classes: dict[str, Any], memory: Memory) -> None:
        super().__init__(classes)
        self._memory = memory

    def empty(self, dtype: str, length: int, *, sparse: bool = False) -> np.ndarray:
        """Return an array of zeros."""
        try:
            return self._memory.allocate(length * np.dtype(dtype).itemsize).view(dtype)
        except MemoryError:
            raise BackendError(f"no memory for {length} numbers of type {dtype}") from None

    def view(self, data: np.ndarray, dtype: str) -> np.ndarray:
        """Return a typed view of the bytes of `data`, or of a copy unless they are in the memory."""
        data = data.reshape(-1)
        if not self._memory.holds(data.__array_interface__["data"][0], data.nbytes):
            copy = self.empty("uint8", data.nbytes)
            copy[:] = data
            copy.flags.writeable = False
            data = copy
        return data.view(dtype)
