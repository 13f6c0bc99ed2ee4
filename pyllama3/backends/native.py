"""The engine in generated C: a binding made from the generated header, so that new public methods need no code here."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from ..errors import BackendError
from . import find_variant, library_name


class NativeEngine:
    """Classes made from the header; arrays are numpy arrays, whose memory the library uses in place."""

    name = "c"
    packs = True

    def __init__(self, classes: dict[str, Any]) -> None:
        self._classes = classes

    def __getattr__(self, name: str) -> Any:
        try:
            return self._classes[name]
        except KeyError:
            raise AttributeError(f"the generated header has no class '{name}'") from None

    def empty(self, dtype: str, length: int) -> np.ndarray:
        """Return an array of zeros, whose pages take memory only once they are written."""
        try:
            return np.zeros(length, dtype)
        except (MemoryError, ValueError):
            raise BackendError(f"no memory for {length} numbers of type {dtype}") from None

    def view(self, data: np.ndarray, dtype: str) -> np.ndarray:
        """Return a typed view of the bytes of `data`."""
        return data.reshape(-1).view(dtype)

    def numpy(self, array: Any, dtype: str) -> np.ndarray:
        """Return the array itself."""
        assert array.dtype == dtype
        return array  # type: ignore[no-any-return]


class NativeObject:
    """Base of the classes with instances.

    Setters of the engine keep pointers. So each object keeps what was last passed to each method (per scalar
    arguments). An object inside another one (`Llama3Model.get_tensor`) keeps it there, and the other one alive.
    """

    _new: Callable[[], Any] | None = None
    _owner: NativeObject | None = None

    def __init__(self) -> None:
        new = type(self)._new
        if new is None:
            raise TypeError(f"{type(self).__name__} has no public constructor")
        self._pointer = new()
        self._kept: dict[Any, Any] = {}

    @classmethod
    def _inside(cls, owner: NativeObject, pointer: Any) -> NativeObject:
        self = cls.__new__(cls)
        self._owner = owner
        self._pointer = pointer
        self._kept = owner._kept
        return self


def load(folder: Path) -> NativeEngine:
    """Load the library, and the header that describes it, of a build folder.

    Raises:
        BackendError: the library can not be loaded, or the header is not one that a Fusion compiler writes.
    """
    variant = find_variant(folder)
    header, library = folder / f"{variant}.h", folder / library_name(variant)
    # libgomp lets idle threads spin for milliseconds, in which other processes get nothing done; sleeping at once would
    # be slower, as a token takes hundreds of parallel regions. It reads this when it is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    ffi = cffi.FFI()
    try:
        text = header.read_text(encoding="utf-8")
        ffi.cdef(_declarations(text))
        lib = ffi.dlopen(str(library))
        return NativeEngine(_make_classes(ffi, lib, text))
    except OSError as error:
        raise BackendError(f"{library}: {error}; run 'invoke build'") from None
    except (cffi.CDefError, cffi.FFIError, AttributeError) as error:  # the last if the library lacks a function
        raise BackendError(f"{header}: {' '.join(str(error).split())}; run 'invoke build'") from None


def _declarations(header: str) -> str:
    """Return the declarations of a header in the form that cffi parses."""
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    header = re.sub(r'extern "C" \{|^\}$', "", header, flags=re.MULTILINE)
    return re.sub(r"^\s*#.*$", "", header, flags=re.MULTILINE)


def snake_case(name: str) -> str:
    """Return the name that generated Python has for one of Fusion."""
    return re.sub(r"(?<=[^_])(?=[A-Z])", "_", name).lower()


def _make_classes(ffi: cffi.FFI, lib: Any, header: str) -> dict[str, Any]:
    structs, _, _ = ffi.list_types()
    classes: dict[str, Any] = {}
    for name in structs:
        ctype = ffi.typeof(name)
        if ctype.kind == "enum":
            members = {member.removeprefix(f"{name}_"): value for value, member in sorted(ctype.elements.items())}
            classes[name] = IntEnum(name, members)
        else:
            classes[name] = type(name, (NativeObject,), {})
    for symbol in dir(lib):
        function = getattr(lib, symbol)
        if isinstance(function, int):  # a member of an enumeration
            continue
        ctype = ffi.typeof(function)
        cls_name, _, method = symbol.partition("_")
        cls = classes.setdefault(cls_name, type(cls_name, (), {}))
        if method == "New":
            delete = getattr(lib, f"{cls_name}_Delete")
            cls._new = staticmethod(lambda new=function, delete=delete: ffi.gc(new(), delete))
        elif method != "Delete":
            is_static = not (ctype.args and _pointed_to(ctype.args[0]) == cls_name)
            bound = (_static_method if is_static else _instance_method)(ffi, function, ctype, classes)
            bound.__name__ = snake_case(method)
            setattr(cls, bound.__name__, staticmethod(bound) if is_static else bound)
    for cls_name, constant, value in re.findall(r"^#define ([A-Za-z0-9]+)_(\w+) (-?\d+)$", header, flags=re.MULTILINE):
        setattr(classes.setdefault(cls_name, type(cls_name, (), {})), constant, int(value))
    return classes


def _pointed_to(ctype: Any) -> str:
    """Return the class that a pointer points to, or an empty text."""
    if ctype.kind != "pointer" or ctype.item.kind != "struct":
        return ""
    return str(ctype.item.cname).removeprefix("struct ")


def _converter(ffi: cffi.FFI, ctype: Any) -> Callable[[Any], Any]:
    """Return what turns a Python argument into one for a parameter of a C type."""
    if ctype.kind == "enum":
        return int
    if ctype.kind != "pointer":
        return lambda value: value
    if ctype.item.kind == "struct":
        return lambda value: ffi.NULL if value is None else value._pointer
    item = ctype.item.cname
    array_type = ffi.typeof(f"{item}[]")
    size = ffi.sizeof(item)

    def convert(value: Any) -> Any:
        if value is None:
            return ffi.NULL
        if memoryview(value).itemsize != size:
            raise TypeError(f"an array of {item} has items of {size} bytes, not {memoryview(value).itemsize}")
        return ffi.from_buffer(array_type, value)

    return convert


def _static_method(ffi: cffi.FFI, function: Any, ctype: Any, classes: dict[str, Any]) -> Callable[..., Any]:
    converters = [_converter(ffi, argument) for argument in ctype.args]

    def call(*arguments: Any) -> Any:
        return function(*(convert(value) for convert, value in zip(converters, arguments, strict=True)))

    return call


def _instance_method(ffi: cffi.FFI, function: Any, ctype: Any, classes: dict[str, Any]) -> Callable[..., Any]:
    converters = [_converter(ffi, argument) for argument in ctype.args[1:]]
    returned = _pointed_to(ctype.result)

    def call(self: NativeObject, *arguments: Any) -> Any:
        converted = [convert(value) for convert, value in zip(converters, arguments, strict=True)]
        pointers = [value for value in converted if isinstance(value, ffi.CData)]
        if pointers:
            scalars = tuple(value for value in converted if not isinstance(value, ffi.CData))
            self._kept[self._pointer, function, scalars] = (pointers, arguments)
        result = function(self._pointer, *converted)
        return classes[returned]._inside(self, result) if returned else result

    return call
