"""Safetensors files written by hand, good or bad, and the checkpoints to change for a test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
from paths import DATA

CHECKPOINTS = DATA / "checkpoints"

Arrays = Mapping[str, npt.NDArray[Any]]
_DTYPES = {"float32": "F32", "float16": "F16", "uint16": "BF16", "float64": "F64", "int8": "I8"}


def header_of(arrays: Arrays) -> dict[str, Any]:
    """Describe arrays which lie after each other; those of uint16 are the bits of bfloat16."""
    header, position = {}, 0
    for name, array in arrays.items():
        end = position + array.nbytes
        header[name] = {"dtype": _DTYPES[array.dtype.name], "shape": array.shape, "data_offsets": [position, end]}
        position = end
    return header


def safetensors(header: Mapping[str, Any] | bytes, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def write_safetensors(path: Path, arrays: Arrays) -> Path:
    data = b"".join(array.tobytes() for array in arrays.values())
    path.write_bytes(safetensors(header_of(arrays) | {"__metadata__": {"format": "pt"}}, data))
    return path


def copied(name: str, directory: Path) -> Path:
    """Copy a checkpoint."""
    return Path(shutil.copytree(CHECKPOINTS / name, directory / name))


def change_json(path: Path, changes: Mapping[str, Any]) -> None:
    """Set keys of a JSON file, or remove them by `...`."""
    values = json.loads(path.read_text("utf-8")) | dict(changes)
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}), "utf-8")
