"""The GGUF container, versions 2 and 3: bytes to metadata and tensors (ggml-org/ggml, docs/gguf.md)."""

from __future__ import annotations

import math
import mmap
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np

from ..errors import WeightsError
from .tensor import Tensor
from .types import TensorType, type_name

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_DIMENSIONS = 4
_MAX_ENTRIES = 1 << 16
"""Tensors or metadata entries; Llama 3.1 405B has 1138 tensors."""
_MAX_ELEMENTS = 1 << 22
"""Elements of an array; Llama 3 has 280,147 merges."""
_LENGTH = struct.Struct("<Q")

_STRING, _ARRAY = 8, 9
_NUMBERS: dict[int, np.dtype[Any]] = {
    0: np.dtype("<u1"), 1: np.dtype("<i1"), 2: np.dtype("<u2"), 3: np.dtype("<i2"), 4: np.dtype("<u4"),
    5: np.dtype("<i4"), 6: np.dtype("<f4"), 7: np.dtype("?"), 10: np.dtype("<u8"), 11: np.dtype("<i8"),
    12: np.dtype("<f8"),
}  # fmt: skip


class StringArray(Sequence[str]):
    """An array of strings, decoded as a whole when an element is first asked for.

    Vocabularies come with hundreds of thousands of merges, which most readers never look at.
    """

    def __init__(self, data: bytes, ends: Sequence[int]) -> None:
        """Keep strings, each of them a 64-bit length and UTF-8 bytes, and where they end."""
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

    def _decoded(self) -> list[str]:
        if self._strings is None:
            data, size = self._data, _LENGTH.size
            bounds = pairwise([0, *self._ends])
            self._strings = [data[start + size : end].decode("utf-8", "replace") for start, end in bounds]
            self._data = b""
        return self._strings


@dataclass(frozen=True, eq=False)
class GgufFile:
    """What a GGUF file holds: arrays of strings in `metadata` are `StringArray`, other arrays lists."""

    metadata: dict[str, Any]
    tensors: dict[str, Tensor]


def read_gguf(path: Path) -> GgufFile:
    """Map a GGUF file and read its metadata; tensors are views of the mapping, so no tensor data is read or copied.

    Raises:
        OSError: the file cannot be opened or mapped.
        WeightsError: it is truncated, damaged, of another version or byte order, or has unsupported tensor types.
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    reader = _Reader(path, mapped)
    _check_version(path, reader)
    tensor_count = reader.count("tensors", smallest=32, most=_MAX_ENTRIES)
    metadata = _read_metadata(reader, reader.count("metadata entries", smallest=13, most=_MAX_ENTRIES))
    tensors = _read_tensors(reader, tensor_count, _alignment(path, metadata))
    return GgufFile(metadata, tensors)


class _Reader:
    """A position in the mapped file which never leaves it; `subject` is what is being read, for messages."""

    def __init__(self, path: Path, mapped: mmap.mmap) -> None:
        self.path = path
        self.mapped = mapped
        self.size = len(mapped)
        self.position = 0
        self.subject = "the header"

    def error(self, problem: str) -> WeightsError:
        return WeightsError(f"{self.path}: {self.subject} {problem}")

    def take(self, size: int) -> int:
        """Step over `size` bytes and return where they start."""
        start = self.position
        if size > self.size - start:
            raise self.error(f"needs {size} bytes at byte {start}, but the file ends at byte {self.size}: truncated?")
        self.position = start + size
        return start

    def number(self, dtype: np.dtype[Any]) -> Any:
        return self.numbers(dtype, 1)[0]

    def numbers(self, dtype: np.dtype[Any], count: int) -> list[Any]:
        start = self.take(dtype.itemsize * count)
        return np.frombuffer(self.mapped, dtype, count, start).tolist()  # type: ignore[no-any-return]

    def u32(self) -> int:
        return int(self.number(_NUMBERS[4]))

    def u64(self) -> int:
        return int(self.number(_NUMBERS[10]))

    def string(self) -> str:
        size = self.u64()
        start = self.take(size)
        return self.mapped[start : start + size].decode("utf-8", "replace")

    def strings(self, count: int) -> StringArray:
        start = position = self.position
        ends = array("Q")
        try:
            for _ in range(count):
                position += _LENGTH.size + _LENGTH.unpack_from(self.mapped, position)[0]
                ends.append(position - start)
        except (struct.error, OverflowError):
            position = self.size + 1
        self.take(position - start)
        return StringArray(self.mapped[start:position], ends)

    def count(self, things: str, *, smallest: int, most: int) -> int:
        """Read a count of things which take at least `smallest` bytes each."""
        count = self.u64()
        if count > most:
            raise self.error(f"announces {count} {things}; at most {most} are supported")
        if count * smallest > self.size - self.position:
            raise self.error(f"announces {count} {things}, which do not fit into {self.size} bytes: truncated?")
        return count


def _check_version(path: Path, reader: _Reader) -> None:
    reader.take(len(MAGIC))
    version = reader.u32()
    if version in _VERSIONS:
        return
    if version & 0xFFFF == 0:
        raise WeightsError(f"{path}: GGUF file in big-endian byte order; only little-endian files are supported")
    raise WeightsError(f"{path}: GGUF version {version}; supported: 2, 3")


def _read_metadata(reader: _Reader, count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for entry in range(count):
        reader.subject = f"metadata entry {entry}"
        key = reader.string()
        reader.subject = f"metadata key {key!r:.80}"
        if key in metadata:
            raise reader.error("occurs twice")
        metadata[key] = _read_value(reader, reader.u32())
    return metadata


def _read_value(reader: _Reader, type_id: int) -> Any:
    if type_id in _NUMBERS:
        return reader.number(_NUMBERS[type_id])
    if type_id == _STRING:
        return reader.string()
    if type_id != _ARRAY:
        raise reader.error(f"has value type {type_id}; allowed: 0 to 12")
    element_id = reader.u32()
    if element_id in _NUMBERS:
        dtype = _NUMBERS[element_id]
        return reader.numbers(dtype, reader.count("elements", smallest=dtype.itemsize, most=_MAX_ELEMENTS))
    if element_id == _STRING:
        return reader.strings(reader.count("strings", smallest=_LENGTH.size, most=_MAX_ELEMENTS))
    raise reader.error(f"is an array of value type {element_id}; supported: arrays of numbers and of strings")


def _alignment(path: Path, metadata: dict[str, Any]) -> int:
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 8 or alignment & (alignment - 1):
        raise WeightsError(f"{path}: general.alignment is {alignment!r:.40}; a power of two from 8 on is allowed")
    return alignment


def _read_tensors(reader: _Reader, count: int, alignment: int) -> dict[str, Tensor]:
    infos: dict[str, tuple[TensorType, tuple[int, ...], int]] = {}
    for index in range(count):
        reader.subject = f"tensor info {index}"
        name = reader.string()
        reader.subject = f"tensor {name!r:.80}"
        if name in infos:
            raise reader.error("occurs twice")
        infos[name] = _read_tensor_info(reader, alignment)
    data_start = -(-reader.position // alignment) * alignment
    data = np.frombuffer(reader.mapped, np.uint8)[data_start:]
    tensors = {}
    for name, (type, shape, offset) in infos.items():
        size = math.prod(shape) // type.block_size * type.block_bytes
        if offset + size > len(data):
            end = data_start + offset + size
            raise WeightsError(
                f"{reader.path}: tensor {name!r:.80} ends at byte {end}, file has {reader.size}: truncated?"
            )
        tensors[name] = Tensor(name, type, shape, (data[offset : offset + size],))
    return tensors


def _read_tensor_info(reader: _Reader, alignment: int) -> tuple[TensorType, tuple[int, ...], int]:
    """Return type, shape (slowest dimension first, as in numpy) and offset from the start of the data."""
    dimensions = reader.u32()
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise reader.error(f"has {dimensions} dimensions; allowed: 1 to {_MAX_DIMENSIONS}")
    shape = tuple(reader.numbers(_NUMBERS[10], dimensions)[::-1])
    type_id = reader.u32()
    offset = reader.u64()
    try:
        type = TensorType(type_id)
    except ValueError:
        supported = ", ".join(type.name for type in TensorType)
        raise reader.error(f"has type {type_name(type_id)}; supported: {supported}") from None
    if 0 in shape:
        raise reader.error(f"has shape {shape}; no dimension may be 0")
    if shape[-1] % type.block_size:
        raise reader.error(f"has rows of {shape[-1]} values; {type.name} needs a multiple of {type.block_size}")
    if offset % alignment:
        raise reader.error(f"starts at offset {offset}, which is not a multiple of {alignment}")
    return type, shape, offset
