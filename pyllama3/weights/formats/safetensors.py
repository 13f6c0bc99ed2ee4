"""The safetensors container: bytes to tensors (huggingface/safetensors, README, "Format")."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import WeightsError
from ..mapping import map_file
from ..tensor import Tensor, aligned
from ..types import TensorType
from .json_files import parse_object

_LENGTH_BYTES = 8
_MAX_HEADER = 1 << 24
"""That of Llama 3.1 405B in one file would have 150 KB; the reference implementation reads 100 MB (tensor.rs)."""
_MAX_DIMENSIONS = 8
_METADATA = "__metadata__"
_DTYPES = {"F32": TensorType.F32, "F16": TensorType.F16, "BF16": TensorType.BF16}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Map a safetensors file; its tensors are views of the mapping, so no tensor data is read or copied.

    Only a file whose data begins at an odd address, which the reference implementation never writes, is copied.

    Raises:
        OSError: the file cannot be opened or mapped.
        WeightsError: it is truncated or damaged, or has unsupported types.
    """
    mapped = map_file(path)
    if len(mapped) <= _LENGTH_BYTES:
        raise WeightsError(f"{path}: has {len(mapped)} bytes, too few for a safetensors file: truncated?")
    size = int.from_bytes(mapped[:_LENGTH_BYTES], "little")
    start = _LENGTH_BYTES + size
    if size > _MAX_HEADER:
        raise WeightsError(f"{path}: announces a header of {size} bytes; at most {_MAX_HEADER} are allowed")
    if start > len(mapped):
        raise WeightsError(f"{path}: the header ends at byte {start}, file has {len(mapped)}: truncated?")
    if mapped[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
        raise WeightsError(f"{path}: the header does not begin with '{{': not a safetensors file?")
    header = parse_object(path, mapped[_LENGTH_BYTES:start], "the header")
    header.pop(_METADATA, None)
    data = np.frombuffer(mapped, np.uint8)[start:]
    entries = {name: _read_entry(path, name, entry) for name, entry in header.items()}
    _check_offsets(path, {name: offsets for name, (_, _, offsets) in entries.items()}, len(data))
    return {
        name: Tensor(name, type, shape, (aligned(data[begin:end], type),))
        for name, (type, shape, (begin, end)) in entries.items()
    }


def _read_entry(path: Path, name: str, entry: Any) -> tuple[TensorType, tuple[int, ...], tuple[int, int]]:
    subject = f"{path}: tensor {name!r:.80}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise WeightsError(f"{subject} must have dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise WeightsError(f"{subject} has type {dtype!r:.40}; supported: {', '.join(_DTYPES)}")
    if not _are_sizes(shape) or len(shape) > _MAX_DIMENSIONS:
        raise WeightsError(f"{subject} has shape {shape!r:.80}; allowed: up to {_MAX_DIMENSIONS} integers from 0 on")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise WeightsError(f"{subject} has data_offsets {offsets!r:.80}; allowed: two integers from 0 on")
    type, (begin, end) = _DTYPES[dtype], offsets
    needed = math.prod(shape) * type.block_bytes
    if end - begin != needed:
        raise WeightsError(f"{subject} of shape {shape} needs {needed} bytes; data_offsets are {offsets}")
    return type, tuple(shape), (begin, end)


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 63 for value in values)


def _check_offsets(path: Path, offsets: dict[str, tuple[int, int]], size: int) -> None:
    """Check that tensors cover the data without overlaps and holes."""
    position = 0
    for name, (begin, end) in sorted(offsets.items(), key=lambda item: item[1]):
        if begin != position:
            problem = "overlaps the tensor before it" if begin < position else "comes after a hole"
            raise WeightsError(f"{path}: tensor {name!r:.80} starts at byte {begin} of the data and {problem}")
        if end > size:
            raise WeightsError(
                f"{path}: tensor {name!r:.80} ends at byte {end} of the data, which has {size}: truncated?"
            )
        position = end
    if position != size:
        raise WeightsError(f"{path}: the tensors end at byte {position} of the data, which has {size}")
