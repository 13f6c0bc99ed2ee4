"""The engine in generated C: a binding made from the generated header, so that new public methods need no code here."""

from __future__ import annotations

import ctypes
import re
import weakref
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError
from .arrays import zeros
from .build_folder import find_variant, library_name
from .header import CType, Function, Header, parse_header

_NUMBERS: dict[str, Any] = {
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


class CEngine:
    """Classes made from the header; arrays are numpy arrays, whose memory the library uses in place."""

    name = "c"
    packs = True
    has_threads = True

    def __init__(self, classes: dict[str, Any]) -> None:
        self._classes = classes

    def __getattr__(self, name: str) -> Any:
        try:
            return self._classes[name]
        except KeyError:
            raise AttributeError(f"the generated header has no class '{name}'") from None

    def empty(self, dtype: str, length: int, *, sparse: bool = False) -> np.ndarray:
        """Return an array of zeros."""
        return zeros(dtype, length, sparse=sparse)

    def view(self, data: np.ndarray, dtype: str) -> np.ndarray:
        """Return a typed view of the bytes of `data`."""
        return data.reshape(-1).view(dtype)

    def numpy(self, array: Any, dtype: str) -> np.ndarray:
        """Return the array itself."""
        assert array.dtype == dtype
        return array  # type: ignore[no-any-return]


class CObject:
    """Base of the classes with instances.

    Methods that change an object may store pointers in it, so the object keeps what was last passed to each of them. A
    setter with an index, such as `SetBuffer(buffer, data)`, has one last call for each index: the whole numbers in
    front of its first array. `Set` alone sets everything, so its numbers are no index. Methods that may not change
    their object (in Fusion, those without `!`) store nothing. An object inside another one (`Llama3Model.get_tensor`)
    keeps what it was passed there, and the other one alive.
    """

    _new: Callable[[], Any] | None = None
    _delete: Callable[[int], Any]
    _owner: CObject | None = None

    def __init__(self) -> None:
        new = type(self)._new
        if new is None:
            raise TypeError(f"{type(self).__name__} has no public constructor")
        self._pointer = new()
        self._kept: dict[Any, Any] = {}
        weakref.finalize(self, type(self)._delete, self._pointer).atexit = False

    @classmethod
    def _inside(cls, owner: CObject, pointer: Any) -> CObject:
        self = cls.__new__(cls)
        self._owner = owner
        self._pointer = pointer
        self._kept = owner._kept
        return self


def load(folder: Path) -> CEngine:
    """Load the library, and the header that describes it, of a build folder.

    Raises:
        BackendError: the library can not be loaded, or the header is not one that a Fusion compiler writes.
    """
    variant = find_variant(folder)
    header, library = folder / f"{variant}.h", folder / library_name(variant)
    try:
        declared = parse_header(header.read_text(encoding="utf-8"))
        return CEngine(_make_classes(ctypes.CDLL(str(library.absolute())), declared))
    except OSError as error:
        raise BackendError(f"{library}: {error}; run 'invoke build'") from None
    except (ValueError, AttributeError) as error:  # the last if the library lacks a function
        raise BackendError(f"{header}: {error}; run 'invoke build'") from None


def _make_classes(library: Any, header: Header) -> dict[str, Any]:
    classes: dict[str, Any] = {name: type(name, (CObject,), {}) for name in header.structures}
    for name, members in header.enumerations.items():
        classes[name] = IntEnum(name, {member.removeprefix(f"{name}_"): value for member, value in members.items()})
    for declared in header.functions:
        cls_name, _, method = declared.name.partition("_")
        cls = classes.setdefault(cls_name, type(cls_name, (), {}))
        function = getattr(library, declared.name)
        function.argtypes = [_ctype(type, header) for type in declared.parameters]
        function.restype = None if declared.result.name == "void" else _ctype(declared.result, header)
        if method in ("New", "Delete"):
            setattr(cls, f"_{method.lower()}", staticmethod(function))
        elif declared.parameters and declared.parameters[0] == CType(cls_name, is_pointer=True):
            setattr(cls, snake_case(method), _instance_method(function, declared, classes))
        else:
            setattr(cls, snake_case(method), staticmethod(_static_method(function, declared)))
    for cls_name, constant, value in header.constants:
        setattr(classes.setdefault(cls_name, type(cls_name, (), {})), constant, value)
    return classes


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


def snake_case(name: str) -> str:
    """Return the name that generated Python has for one of Fusion; the compilers have their own, and are not there."""
    return re.sub(r"(?<=[^_])(?=[A-Z])", "_", name).lower()


def _converter(type: CType) -> Callable[[Any], Any]:
    """Return what turns a Python argument into one for a parameter: pointers into addresses."""
    if not type.is_pointer:
        return lambda value: value
    if type.name not in _NUMBERS:
        return lambda value: None if value is None else value._pointer
    size = ctypes.sizeof(_NUMBERS[type.name])

    def convert(value: Any) -> int | None:
        if value is None:
            return None
        view = memoryview(value)
        if view.itemsize != size:
            raise TypeError(f"an array of {type.name} has items of {size} bytes, not {view.itemsize}")
        if not view.c_contiguous:
            raise ValueError(f"an array of {type.name} has gaps")
        address: int = np.asarray(view).__array_interface__["data"][0]
        return address

    return convert


def _static_method(function: Any, declared: Function) -> Callable[..., Any]:
    converters = [_converter(type) for type in declared.parameters]

    def call(*arguments: Any) -> Any:
        return function(*(convert(value) for convert, value in zip(converters, arguments, strict=True)))

    return call


def _instance_method(function: Any, declared: Function, classes: dict[str, Any]) -> Callable[..., Any]:
    parameters = declared.parameters[1:]
    converters = [_converter(type) for type in parameters]
    stores = not declared.is_pure and any(type.is_pointer for type in parameters)
    indices = _count_indices(declared)
    returned = declared.result.name if declared.result.is_pointer else ""

    def call(self: CObject, *arguments: Any) -> Any:
        converted = [convert(value) for convert, value in zip(converters, arguments, strict=True)]
        if stores:
            key = (self._pointer, declared.name, *converted[:indices])
            self._kept[key] = arguments
        result = function(self._pointer, *converted)
        return classes[returned]._inside(self, result) if returned else result

    return call


def _count_indices(declared: Function) -> int:
    """Return how many arguments of a method say which of several pointers it stores, see `CObject`."""
    method = declared.name.partition("_")[2]
    if not method.startswith("Set") or method == "Set":
        return 0
    types = declared.parameters[1:]
    return next(
        (at for at, type in enumerate(types) if type.is_pointer or type.name in ("float", "double")), len(types)
    )
