"""Pickles of tensors, read by an interpreter that can build dictionaries, lists, tuples and numbers, and run nothing.

A pickle is a program for a stack machine (CPython, Lib/pickletools.py, describes its instructions). `torch.save`
writes protocol 2 and needs few of them. What a pickle asks to import is compared with the names that `torch.save`
uses, and stays a name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...errors import WeightsError
from ..types import TensorType

_STORAGES = {
    "torch.FloatStorage": TensorType.F32,
    "torch.HalfStorage": TensorType.F16,
    "torch.BFloat16Storage": TensorType.BF16,
}
_ORDERED_DICT = "collections.OrderedDict"
_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"
_ALLOWED = {*_STORAGES, _ORDERED_DICT, _TENSOR, _PARAMETER}

_MAX_DIMENSIONS = 8
_MAX_NAME = 256


@dataclass(frozen=True)
class Storage:
    """A run of numbers outside of the pickle, in the file named `key`."""

    type: TensorType
    key: str
    size: int


@dataclass(frozen=True)
class StoredTensor:
    """Where the numbers of a tensor are; offset and strides count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Global:
    """What a pickle asks to import, by its full name."""

    name: str


def read_pickle(data: bytes) -> Any:
    """Return what a pickle builds, with a `StoredTensor` for every tensor.

    Raises:
        WeightsError: it is damaged, or has instructions or names that tensors do not need.
    """
    machine = _Machine(data)
    try:
        return machine.run()
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"the pickle is damaged at byte {machine.position}") from error


_MARK = object()


class _Machine:
    """The stack machine; `memo` has the values that the pickle numbered to use them again.

    Instructions that do not fit what is on the stack raise one of the errors that `read_pickle` catches.
    """

    def __init__(self, data: bytes) -> None:
        self.position = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self._data = data

    def run(self) -> Any:
        while (code := self.take(1)) != b".":
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise WeightsError(
                    f"the pickle has instruction {code!r} at byte {self.position - 1}; tensors need none"
                )
            instruction(self)
        return self.pop()

    def take(self, size: int) -> bytes:
        start, self.position = self.position, self.position + size
        if self.position > len(self._data):
            raise WeightsError(f"the pickle ends at byte {len(self._data)}: truncated?")
        return self._data[start : self.position]

    def number(self, format: str) -> Any:
        return struct.unpack(format, self.take(struct.calcsize(format)))[0]

    def line(self) -> str:
        end = self._data.index(b"\n", self.position, self.position + _MAX_NAME)
        return self.take(end + 1 - self.position)[:-1].decode()

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark is not a value")
        return value

    def pop_to_mark(self) -> list[Any]:
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def top(self, kind: type[Any]) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"no {kind.__name__}")
        return self.stack[-1]


def _push(value: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    """Return the instruction that pushes what `value` computes."""
    return lambda machine: machine.stack.append(value(machine))


def _pop_tuple(size: int) -> Callable[[_Machine], Any]:
    return lambda machine: tuple([machine.pop() for _ in range(size)][::-1])


def _put(format: str) -> Callable[[_Machine], None]:
    def put(machine: _Machine) -> None:
        index = machine.number(format)
        value = machine.pop()
        machine.memo[index] = value
        machine.stack.append(value)

    return put


def _skip_version(machine: _Machine) -> None:
    machine.take(1)


def _set_items(machine: _Machine, items: list[Any]) -> None:
    target = machine.top(dict)
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, (str, int)):
            raise TypeError("a key is neither text nor a number")
        target[key] = value


def _set_item(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine, [key, value])


def _append(machine: _Machine) -> None:
    value = machine.pop()
    machine.top(list).append(value)


def _appends(machine: _Machine) -> None:
    values = machine.pop_to_mark()
    machine.top(list).extend(values)


def _build(machine: _Machine) -> None:
    """Drop the attributes that a module's OrderedDict has (versions of its layers)."""
    machine.pop()
    machine.top(dict)


def _global(machine: _Machine) -> _Global:
    name = f"{machine.line()}.{machine.line()}"
    if name not in _ALLOWED:
        if name.startswith("torch.") and name.endswith("Storage"):
            raise WeightsError(f"the pickle has tensors of {name}; supported: {', '.join(_STORAGES)}")
        raise WeightsError(f"the pickle asks for {name!r:.80}, which tensors do not need; it may be hostile")
    return _Global(name)


def _persistent(machine: _Machine) -> Storage:
    """Make a storage of ("storage", type, key, device, size)."""
    kind, type, key, _, size = machine.pop()
    if kind != "storage" or not isinstance(type, _Global) or not isinstance(key, str) or not _is_size(size):
        raise ValueError("not a storage")
    return Storage(_STORAGES[type.name], key, size)


def _reduce(machine: _Machine) -> Any:
    """Build what a call to one of the allowed functions would return."""
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(function, _Global) or not isinstance(arguments, tuple):
        raise TypeError("not a call")
    if function.name == _ORDERED_DICT and not arguments:
        return {}
    if function.name == _PARAMETER:
        return arguments[0]
    if function.name != _TENSOR:
        raise ValueError("not a function")
    storage, offset, shape, strides = arguments[:4]
    sizes = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(map(_is_size, sizes)) or len(shape) > _MAX_DIMENSIONS:
        raise ValueError("not a tensor")
    return StoredTensor(storage, offset, tuple(shape), tuple(strides))


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


_INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _skip_version,
    b"}": _push(lambda machine: {}),
    b"]": _push(lambda machine: []),
    b"N": _push(lambda machine: None),
    b"\x88": _push(lambda machine: True),
    b"\x89": _push(lambda machine: False),
    b"J": _push(lambda machine: machine.number("<i")),
    b"K": _push(lambda machine: machine.number("<B")),
    b"M": _push(lambda machine: machine.number("<H")),
    b"\x8a": _push(lambda machine: int.from_bytes(machine.take(machine.number("<B")), "little", signed=True)),
    b"G": _push(lambda machine: machine.number(">d")),
    b"X": _push(lambda machine: machine.take(machine.number("<I")).decode()),
    b"(": _push(lambda machine: _MARK),
    b")": _push(_pop_tuple(0)),
    b"\x85": _push(_pop_tuple(1)),
    b"\x86": _push(_pop_tuple(2)),
    b"\x87": _push(_pop_tuple(3)),
    b"t": _push(lambda machine: tuple(machine.pop_to_mark())),
    b"q": _put("<B"),
    b"r": _put("<I"),
    b"h": _push(lambda machine: machine.memo[machine.number("<B")]),
    b"j": _push(lambda machine: machine.memo[machine.number("<I")]),
    b"s": _set_item,
    b"u": lambda machine: _set_items(machine, machine.pop_to_mark()),
    b"a": _append,
    b"e": _appends,
    b"b": _build,
    b"c": _push(_global),
    b"Q": _push(_persistent),
    b"R": _push(_reduce),
}
