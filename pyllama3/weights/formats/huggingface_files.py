"""Which files of a Hugging Face directory have the tensors: the first there is of what `transformers` looks for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ...errors import WeightsError
from ...foreign import file_inside
from ..tensor import Tensor
from .json_files import read_json
from .pth import read_pth
from .safetensors import read_safetensors

_SAFETENSORS, _PICKLED = "model.safetensors", "pytorch_model.bin"
_INDEX = ".index.json"
_SHARD = re.compile(r"(?:model|pytorch_model)-(\d{5})-of-(\d{5})\.(?:safetensors|bin)")


def read_tensors(path: Path, directory: Path) -> dict[str, Tensor]:
    """Read the tensors of a directory, or of the file that was asked for and the shards beside it.

    Where tensors are is what the shards say; an index only tells which files are shards.

    Raises:
        OSError: a file cannot be opened or mapped.
        WeightsError: a file is missing or damaged, or not named as model files are.
    """
    if path.is_file() and not _SHARD.fullmatch(path.name):
        return _read_file(path)
    if path.is_dir() and (directory / _SAFETENSORS).is_file():
        return _read_file(directory / _SAFETENSORS)
    for name in (_SAFETENSORS, _PICKLED):
        index = directory / (name + _INDEX)
        if name == _PICKLED and (directory / name).is_file():
            return _read_file(directory / name)
        if index.exists():
            return _read_shards(directory, _read_index(index), index.name)
    shards = sorted(file.name for file in directory.iterdir() if _SHARD.fullmatch(file.name))
    if not shards:
        raise WeightsError(f"{directory / _SAFETENSORS}: no such file, and no {_PICKLED} or index of shards")
    return _read_shards(directory, _all_of(shards), f"the name of {shards[0]}")


def _read_file(path: Path) -> dict[str, Tensor]:
    return read_pth(path) if path.suffix == ".bin" else read_safetensors(path)


def _read_index(path: Path) -> list[str]:
    """Return the files that have tensors."""
    files = read_json(path).get("weight_map")
    if not isinstance(files, dict) or not files:
        raise WeightsError(f"{path}: weight_map is missing or not an object")
    for name, file in files.items():
        try:
            file_inside(path.parent, file)
        except ValueError:
            raise WeightsError(
                f"{path}: tensor {name!r:.80} is in {file!r:.80}; allowed: a file of this directory"
            ) from None
    return sorted(set(files.values()))


def _all_of(shards: list[str]) -> list[str]:
    """Return the names of all shards by the name of the first that is there."""
    match = _SHARD.fullmatch(shards[0])
    count = int(match[2]) if match else 0
    return [re.sub(r"-\d{5}-of", f"-{number:05}-of", shards[0]) for number in range(1, count + 1)]


def _read_shards(directory: Path, files: Iterable[str], origin: str) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in files:
        path = file_inside(directory, file)
        if not path.is_file():
            raise WeightsError(f"{path}: no such file, but {origin} asks for it")
        tensors |= _read_file(path)
    return tensors
