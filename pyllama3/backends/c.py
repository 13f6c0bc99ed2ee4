"""The engine in generated C, as a shared library."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError
from .arrays import zeros
from .binding import CompiledEngine, make_classes
from .build_folder import find_variant, library_name
from .header import CType, Function, Header

_NUMBERS: dict[str, Any] = {
    "void": None,
    "bool": ctypes.c_bool,
    "int8_t": ctypes.c_int8,
    "uint8_t": ctypes.c_uint8,
    "int16_t": ctypes.c_int16,
    "uint16_t": ctypes.c_uint16,
    "int": ctypes.c_int,
    "int64_t": ctypes.c_int64,
    "ptrdiff_t": ctypes.c_ssize_t,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
}


class CEngine(CompiledEngine):
    """An engine in the memory of this process, all of whose arrays it can use."""

    name = "c"
    has_threads = True

    def empty(self, dtype: str, length: int, *, sparse: bool = False) -> np.ndarray:
        """Return an array of zeros."""
        return zeros(dtype, length, sparse=sparse)

    def view(self, data: np.ndarray, dtype: str) -> np.ndarray:
        """Return a typed view of the bytes of `data`."""
        return data.reshape(-1).view(dtype)


class _Library:
    """A shared library."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))

    def find(self, declared: Function, header: Header) -> Callable[..., Any]:
        """Return a function that ctypes calls."""
        function = getattr(self._library, declared.name)
        function.argtypes = [_ctype(type, header) for type in declared.parameters]
        function.restype = _ctype(declared.result, header)
        return function  # type: ignore[no-any-return]

    def locate(self, address: int, size: int) -> int:
        """Return the address itself."""
        return address


def load(folder: Path, variant: str = "") -> CEngine:
    """Load the library, and the header that describes it, of a build folder; by default the best for this processor.

    A process loads a library once, until it is built again: classes of ctypes, and what `fork()` calls, stay for ever.

    Raises:
        BackendError: the library can not be loaded, or the header is not one that a Fusion compiler writes.
    """
    variant = variant or find_variant(folder)
    path, header = (folder.absolute() / name for name in (library_name(variant), f"{variant}.h"))
    return _load(path, header, _version(path), _version(header))


@functools.cache
def _load(path: Path, header: Path, *_versions: tuple[int, ...]) -> CEngine:
    try:
        library = _Library(path)
    except OSError as error:
        raise BackendError(f"{path}: {error}; run 'invoke build'") from None
    return CEngine(make_classes(header, library))


def _version(path: Path) -> tuple[int, ...]:
    """Return what is another when a file is another."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _ctype(type: CType, header: Header) -> Any:
    """Return what ctypes passes.

    Raises:
        ValueError: there is no such type.
    """
    if type.is_pointer:
        return ctypes.c_void_p
    if type.name in header.enumerations:
        return ctypes.c_int
    if type.name not in _NUMBERS:
        raise ValueError(f"unknown type '{type.name}'")
    return _NUMBERS[type.name]
