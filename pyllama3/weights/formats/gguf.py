"""The GGUF container, versions 2 and 3: bytes to metadata and tensors (ggml-org/ggml, docs/gguf.md)."""

from __future__ import annotations

import math
import mmap
import struct
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import WeightsError
from ...tokenizer.string_array import LENGTH, StringArray
from ..tensor import Tensor
from ..types import TensorType, type_name

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_DIMENSIONS = 4
_MAX_ENTRIES = 1 << 16
"""Tensors or metadata entries; Llama 3.1 405B has 1138 tensors."""
_MAX_ELEMENTS = 1 << 22
"""Elements of an array; Llama 3 has 280,147 merges."""

_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Types of `struct`."""


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

    def number(self, type: str) -> Any:
        return self.numbers(type, 1)[0]

    def numbers(self, type: str, count: int) -> list[Any]:
        start = self.take(_size(type) * count)
        return list(struct.unpack_from(f"<{count}{type}", self.mapped, start))

    def u32(self) -> int:
        return int(self.number("I"))

    def u64(self) -> int:
        return int(self.number("Q"))

    def string(self) -> str:
        size = self.u64()
        start = self.take(size)
        return self.mapped[start : start + size].decode("utf-8", "replace")

    def strings(self, count: int) -> StringArray:
        start = position = self.position
        ends = array("q")
        # looked up once: the loop runs hundreds of thousands of times
        mapped, unpack, size, append = self.mapped, LENGTH.unpack_from, LENGTH.size, ends.append
        try:
            for _ in range(count):
                (length,) = unpack(mapped, position)
                position += size + length
                append(position - start)
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
        type = _NUMBERS[element_id]
        return reader.numbers(type, reader.count("elements", smallest=_size(type), most=_MAX_ELEMENTS))
    if element_id == _STRING:
        return reader.strings(reader.count("strings", smallest=LENGTH.size, most=_MAX_ELEMENTS))
    raise reader.error(f"is an array of value type {element_id}; supported: arrays of numbers and of strings")


def _size(type: str) -> int:
    return struct.calcsize(f"<{type}")


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
    total = sum(tensor.nbytes for tensor in tensors.values())
    if total > len(data):
        raise WeightsError(f"{reader.path}: the tensors have {total} bytes, but there are {len(data)}: some overlap")
    return tensors


def _read_tensor_info(reader: _Reader, alignment: int) -> tuple[TensorType, tuple[int, ...], int]:
    """Return type, shape (slowest dimension first, as in numpy) and offset from the start of the data."""
    dimensions = reader.u32()
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise reader.error(f"has {dimensions} dimensions; allowed: 1 to {_MAX_DIMENSIONS}")
    shape = tuple(reader.numbers("Q", dimensions)[::-1])
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
