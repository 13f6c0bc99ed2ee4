"""What all backends have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # tools/build_engine.py imports this package where there is no numpy
    import numpy as np


class Engine(Protocol):
    """A loaded engine."""

    name: str
    packs: bool
    """Whether weights are worth packing (`Tensor.pack`)."""
    has_threads: bool
    """Whether several threads compute at the same time."""

    def __getattr__(self, name: str) -> Any:
        """Return a generated class or enumeration."""

    def empty(self, dtype: str, length: int, *, sparse: bool = False) -> Any:
        """Return a writable array, zero or not, of a numpy dtype such as "float32" to pass to methods.

        With `sparse`, what is never written should take no memory.

        Raises:
            BackendError: there is not enough memory.
        """

    def view(self, data: np.ndarray, dtype: str) -> Any:
        """Return a read-only array over the same memory (uint8), or over a copy, to pass to methods."""

    def numpy(self, array: Any, dtype: str) -> np.ndarray:
        """Return a numpy array over the memory of an array made by `empty`."""
