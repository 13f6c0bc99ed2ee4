"""Arrays of strings as GGUF files store them."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np

LENGTH = struct.Struct("<Q")
"""Stands before the UTF-8 bytes of each string."""


class StringArray(Sequence[str]):
    """An array of strings, decoded as a whole when an element is first asked for.

    Vocabularies come with hundreds of thousands of merges, which most readers never look at.
    """

    def __init__(self, data: bytes, ends: array[int]) -> None:
        """Keep strings, each of them a `LENGTH` and UTF-8 bytes, and where they end (64-bit numbers)."""
        self._data = data
        self._ends = ends
        self._strings: list[str] | None = None

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._decoded()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def joined(self) -> str:
        """Return all strings in one, with a zero between each two; this takes less time than decoding them."""
        if self._strings is not None:
            return "\0".join(self._strings)
        data = np.frombuffer(self._data, np.uint8).copy()
        starts = np.concatenate([np.zeros(1, np.int64), np.frombuffer(self._ends, np.int64)])[:-1]
        data[starts] = 0
        kept = np.ones(len(data), np.bool_)
        for n in range(1, LENGTH.size):
            kept[starts + n] = False
        text: bytes = data[kept][1:].tobytes()
        return text.decode("utf-8", "replace")

    def _decoded(self) -> list[str]:
        if self._strings is None:
            self._strings = self.joined().split("\0")
            if len(self._strings) != len(self):  # there are none, or one has a zero in it
                data, size = self._data, LENGTH.size
                bounds = pairwise([0, *self._ends])
                self._strings = [data[start + size : end].decode("utf-8", "replace") for start, end in bounds]
        return self._strings
