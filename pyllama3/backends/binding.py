"""Classes made from the generated header, so that new public methods need no code here.

What is called, and how the functions see the memory of arrays, is up to the backend: see `Binding`.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import BackendError
from .header import CType, Function, Header, parse_header

SIZES = {
    "bool": 1,
    "int8_t": 1,
    "uint8_t": 1,
    "int16_t": 2,
    "uint16_t": 2,
    "int": 4,
    "int64_t": 8,
    "ptrdiff_t": 8,
    "float": 4,
    "double": 8,
}
"""Types of numbers and their sizes in arrays, in bytes."""


class Binding(Protocol):
    """Compiled code that can be called."""

    def find(self, declared: Function, header: Header) -> Callable[..., Any]:
        """Return a function; pointers are passed as integers, and null as 0.

        Raises:
            AttributeError: it is not there.
            ValueError: a type of its declaration is unknown.
        """

    def locate(self, address: int, size: int) -> int:
        """Return what the functions take for the address of an array of this process, of some bytes.

        Raises:
            ValueError: they cannot use this memory.
        """


class CompiledEngine:
    """Base of the engines made of generated C: classes from the header; arrays are numpy arrays, used in place."""

    packs = True

    def __init__(self, classes: dict[str, Any]) -> None:
        self._classes = classes

    def __getattr__(self, name: str) -> Any:
        try:
            return self._classes[name]
        except KeyError:
            raise AttributeError(f"the generated header has no class '{name}'") from None

    def numpy(self, array: Any, dtype: str) -> np.ndarray:
        """Return the array itself."""
        assert array.dtype == dtype
        return array  # type: ignore[no-any-return]


class CompiledObject:
    """Base of the classes with instances.

    Methods that change an object may store pointers in it, so the object keeps what was last passed to each of them. A
    setter with an index, such as `SetBuffer(buffer, data)`, has one last call for each index: the whole numbers in
    front of its first array. `Set` alone sets everything, so its numbers are no index. Methods that may not change
    their object (in Fusion, those without `!`) store nothing. An object inside another one (`Llama3Model.get_tensor`)
    keeps what it was passed there, and the other one alive.
    """

    _new: Callable[[], Any] | None = None
    _delete: Callable[[int], Any]
    _owner: CompiledObject | None = None

    def __init__(self) -> None:
        new = type(self)._new
        if new is None:
            raise TypeError(f"{type(self).__name__} has no public constructor")
        self._pointer = new()
        self._kept: dict[Any, Any] = {}
        weakref.finalize(self, type(self)._delete, self._pointer).atexit = False

    @classmethod
    def _inside(cls, owner: CompiledObject, pointer: Any) -> CompiledObject:
        self = cls.__new__(cls)
        self._owner = owner
        self._pointer = pointer
        self._kept = owner._kept
        return self


def make_classes(header: Path, binding: Binding) -> dict[str, Any]:
    """Return the classes and enumerations of a header, by their names; they call the functions of a binding.

    Raises:
        BackendError: the header is not one that a Fusion compiler writes, or the binding lacks a function.
    """
    try:
        return _make_classes(parse_header(header.read_text(encoding="utf-8")), binding)
    except (OSError, ValueError, AttributeError) as error:
        raise BackendError(f"{header}: {error}; run 'invoke build'") from None


def _make_classes(header: Header, binding: Binding) -> dict[str, Any]:
    classes: dict[str, Any] = {name: type(name, (CompiledObject,), {}) for name in header.structures}
    for name, members in header.enumerations.items():
        classes[name] = IntEnum(name, {member.removeprefix(f"{name}_"): value for member, value in members.items()})
    for declared in header.functions:
        cls_name, _, method = declared.name.partition("_")
        cls = classes.setdefault(cls_name, type(cls_name, (), {}))
        function = binding.find(declared, header)
        if method in ("New", "Delete"):
            setattr(cls, f"_{method.lower()}", staticmethod(function))
        elif declared.parameters and declared.parameters[0] == CType(cls_name, is_pointer=True):
            setattr(cls, snake_case(method), _instance_method(function, declared, classes, binding))
        else:
            setattr(cls, snake_case(method), staticmethod(_static_method(function, declared, binding)))
    for cls_name, constant, value in header.constants:
        setattr(classes.setdefault(cls_name, type(cls_name, (), {})), constant, value)
    return classes


def snake_case(name: str) -> str:
    """Return the name that generated Python has for one of Fusion; the compilers have their own, and are not there."""
    return re.sub(r"(?<=[^_])(?=[A-Z])", "_", name).lower()


def _converter(type: CType, binding: Binding) -> Callable[[Any], Any]:
    """Return what turns a Python argument into one for a parameter: arrays and objects into addresses."""
    if not type.is_pointer:
        return lambda value: value
    if type.name not in SIZES:
        return lambda value: 0 if value is None else value._pointer
    size = SIZES[type.name]

    def convert(value: Any) -> int:
        if value is None:
            return 0
        view = memoryview(value)
        if view.itemsize != size:
            raise TypeError(f"an array of {type.name} has items of {size} bytes, not {view.itemsize}")
        if not view.c_contiguous:
            raise ValueError(f"an array of {type.name} has gaps")
        address: int = np.asarray(view).__array_interface__["data"][0]
        return binding.locate(address, view.nbytes)

    return convert


def _static_method(function: Any, declared: Function, binding: Binding) -> Callable[..., Any]:
    converters = [_converter(type, binding) for type in declared.parameters]

    def call(*arguments: Any) -> Any:
        return function(*(convert(value) for convert, value in zip(converters, arguments, strict=True)))

    return call


def _instance_method(
    function: Any, declared: Function, classes: dict[str, Any], binding: Binding
) -> Callable[..., Any]:
    parameters = declared.parameters[1:]
    converters = [_converter(type, binding) for type in parameters]
    stores = not declared.is_pure and any(type.is_pointer for type in parameters)
    indices = _count_indices(declared)
    returned = declared.result.name if declared.result.is_pointer else ""

    def call(self: CompiledObject, *arguments: Any) -> Any:
        converted = [convert(value) for convert, value in zip(converters, arguments, strict=True)]
        if stores:
            key = (self._pointer, declared.name, *converted[:indices])
            self._kept[key] = arguments
        result = function(self._pointer, *converted)
        return classes[returned]._inside(self, result) if returned else result

    return call


def _count_indices(declared: Function) -> int:
    """Return how many arguments of a method say which of several pointers it stores, see `CompiledObject`."""
    method = declared.name.partition("_")[2]
    if not method.startswith("Set") or method == "Set":
        return 0
    types = declared.parameters[1:]
    return next(
        (at for at, type in enumerate(types) if type.is_pointer or type.name in ("float", "double")), len(types)
    )
