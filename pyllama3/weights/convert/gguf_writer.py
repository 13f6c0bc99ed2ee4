"""Writing GGUF version 3: metadata and tensors to a file, tensor by tensor (ggml-org/ggml, docs/gguf.md)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import WeightsError
from ...files import replacing
from ...tokenizer.string_array import StringArray
from ..formats.gguf import MAGIC
from ..types import TensorType

_VERSION = 3
_ALIGNMENT = 32

_U32, _I32, _F32, _BOOL, _STRING, _ARRAY, _U64, _I64 = 4, 5, 6, 7, 8, 9, 10, 11
_DTYPES = {_U32: "<u4", _I32: "<i4", _F32: "<f4", _BOOL: "?", _U64: "<u8", _I64: "<i8"}


@dataclass(frozen=True)
class OutputTensor:
    """A tensor to write, whose bytes are asked for when they are needed."""

    name: str
    type: TensorType
    shape: tuple[int, ...]
    """Slowest dimension first, as in numpy."""
    chunks: Callable[[], Iterable[NDArray[np.uint8]]]

    @property
    def nbytes(self) -> int:
        """Size of the data in bytes."""
        return math.prod(self.shape) // self.type.block_size * self.type.block_bytes


def write_gguf(
    path: Path,
    metadata: Mapping[str, Any],
    tensors: Sequence[OutputTensor],
    progress: Callable[[int], object] = lambda written: None,
) -> None:
    """Write a GGUF file, which appears under its name when it is complete.

    Integers are stored as u32 (i32 if negative, 64 bits if they need them), arrays of them as i32, floats as f32.
    `progress` receives the bytes written so far.

    Raises:
        WeightsError: the file cannot be written.
    """
    try:
        with replacing(path) as file:
            written = 0
            for chunk in _chunks(metadata, tensors):
                written += file.write(chunk)
                progress(written)
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error


def gguf_size(metadata: Mapping[str, Any], tensors: Sequence[OutputTensor]) -> int:
    """Return the size of the file that `write_gguf` writes."""
    return len(_header(metadata, tensors)) + sum(_padded(tensor.nbytes) for tensor in tensors)


def _chunks(metadata: Mapping[str, Any], tensors: Sequence[OutputTensor]) -> Iterator[bytes | memoryview]:
    yield _header(metadata, tensors)
    for tensor in tensors:
        written = 0
        for chunk in tensor.chunks():
            written += chunk.nbytes
            yield chunk.data
        assert written == tensor.nbytes, f"{tensor.name}: {written} bytes instead of {tensor.nbytes}"
        yield bytes(_padded(written) - written)


def _header(metadata: Mapping[str, Any], tensors: Sequence[OutputTensor]) -> bytes:
    parts = [MAGIC, struct.pack("<IQQ", _VERSION, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += [_string(key), _value(value)]
    offset = 0
    for tensor in tensors:
        dimensions = tensor.shape[::-1]
        parts += [_string(tensor.name), struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)]
        parts.append(struct.pack("<IQ", tensor.type, offset))
        offset += _padded(tensor.nbytes)
    header = b"".join(parts)
    return header + bytes(_padded(len(header)) - len(header))


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _string(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    """Return the type and the bytes of a value."""
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _string(value)
    if not isinstance(value, Sequence):
        type_id = _type_of_number(value)
        return struct.pack("<I", type_id) + _numbers(value, type_id)
    if isinstance(value, StringArray) or any(isinstance(element, str) for element in value):
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(map(_string, value))
    type_id = _type_of_numbers(value)
    return struct.pack("<IIQ", _ARRAY, type_id, len(value)) + _numbers(value, type_id)


def _numbers(values: Any, type_id: int) -> bytes:
    return np.array(values, _DTYPES[type_id]).tobytes()


def _type_of_number(value: float) -> int:
    if isinstance(value, (bool, float)):
        return _BOOL if isinstance(value, bool) else _F32
    if value < 0:
        return _I32 if value >= -(2**31) else _I64
    return _U32 if value < 2**32 else _U64


def _type_of_numbers(values: Sequence[float]) -> int:
    types = set(map(_type_of_number, values))
    if len(types) == 1 and types < {_BOOL, _F32, _U64}:
        return types.pop()
    if _F32 in types:
        return _F32
    return _I64 if types & {_U64, _I64} or max(values, default=0) >= 2**31 else _I32
