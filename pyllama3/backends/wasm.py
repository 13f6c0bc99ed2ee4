"""The engine in generated C, as WebAssembly, which wasmtime compiles for the processor at hand.

Arrays live in the module's memory, of at most 4 GB. It never moves: all of its addresses are reserved from the start.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wasmtime

from ..errors import BackendError
from .binding import SIZES, make_classes
from .build_folder import engine_file
from .header import CType, Function, Header
from .memory import Memory, MemoryEngine

_PAGE = 1 << 16
_LEAST_GROWTH = 1 << 20


class WasmEngine(MemoryEngine):
    """An engine in a module of WebAssembly."""

    name = "wasm"


class _Module(Memory):
    """An instance of the module; one thread at a time calls it, or grows its memory."""

    def __init__(self, path: Path) -> None:
        config = wasmtime.Config()
        config.memory_may_move = False
        config.cache = True  # of compiled modules
        engine = wasmtime.Engine(config)
        module = wasmtime.Module.from_file(engine, str(path))
        self._store = wasmtime.Store(engine)
        self._exports = wasmtime.Instance(self._store, module, []).exports(self._store)
        self._exports["_initialize"](self._store)
        self._pages = self._exports["memory"]
        super().__init__(ctypes.addressof(self._pages.data_ptr(self._store).contents), 0)

    def grow(self, size: int) -> tuple[int, int] | None:
        """Add pages behind all others, of which the module itself takes some for its objects."""
        count = -(-max(size, _LEAST_GROWTH) // _PAGE)
        try:
            start = self._pages.grow(self._store, count) * _PAGE
        except (wasmtime.WasmtimeError, OverflowError):
            return None
        return start, start + count * _PAGE

    def find(self, declared: Function, header: Header) -> Callable[..., Any]:
        """Return a function that calls one of the module."""
        try:
            function = self._exports[declared.name]
        except KeyError:
            raise AttributeError(f"the module has no function '{declared.name}'") from None
        converters = [_converter(type, header) for type in declared.parameters]
        convert_result = _result_converter(declared.result, header)
        store, lock = self._store, self.lock

        def call(*arguments: Any) -> Any:
            converted = [convert(value) for convert, value in zip(converters, arguments, strict=True)]
            with lock:
                return convert_result(function(store, *converted))

        return call


def load(folder: Path) -> WasmEngine:
    """Load the module, and the header that describes it, of a build folder.

    Raises:
        BackendError: the module can not be loaded, or the header is not one that a Fusion compiler writes.
    """
    path = engine_file("wasm", folder)
    try:
        module = _Module(path)
    except (OSError, wasmtime.WasmtimeError) as error:
        reason = str(error).partition("\n")[0]
        raise BackendError(f"{path}: {reason}; run 'invoke build --target wasm32'") from None
    return WasmEngine(make_classes(path.with_suffix(".h"), module), module)


def _converter(type: CType, header: Header) -> Callable[[Any], Any]:
    """Return what makes a number that wasmtime takes.

    Raises:
        ValueError: there is no such type.
    """
    if type.name in ("float", "double") and not type.is_pointer:
        return float
    _result_converter(type, header)
    return int


def _result_converter(type: CType, header: Header) -> Callable[[Any], Any]:
    """Return what makes of the number that a function gives one that Python means.

    Raises:
        ValueError: there is no such type.
    """
    if type.is_pointer:
        return lambda value: value & 0xFFFFFFFF
    if type.name == "bool":
        return bool
    if type.name not in SIZES and type.name not in header.enumerations and type.name != "void":
        raise ValueError(f"unknown type '{type.name}'")
    return lambda value: value
