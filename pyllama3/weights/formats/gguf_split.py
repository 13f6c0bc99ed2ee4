"""Models split over several GGUF files, as llama.cpp's gguf-split writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import WeightsError
from ...files import shard_names
from .gguf import GgufFile, read_gguf

_NUMBER, _COUNT, _TENSORS = "split.no", "split.count", "split.tensors.count"


def read_gguf_shards(path: Path) -> GgufFile:
    """Read a GGUF file or, given any shard of a split model, all of them as one; the metadata is the first one's.

    Raises:
        OSError: a file cannot be opened or mapped.
        WeightsError: see `read_gguf`; or a shard is missing, or does not belong to the others.
    """
    file = read_gguf(path)
    count = file.metadata.get(_COUNT, 1)
    if count in (0, 1):
        return file
    paths = _find_parts(path, count)
    shards = [file if shard == path else read_gguf(shard) for shard in paths]
    tensors = {}
    for number, (shard_path, shard) in enumerate(zip(paths, shards, strict=True)):
        _check(shard_path, shard, _NUMBER, number)
        _check(shard_path, shard, _COUNT, count)
        for name, tensor in shard.tensors.items():
            if name in tensors:
                raise WeightsError(f"{shard_path}: tensor {name!r:.80} is in an earlier shard already")
            tensors[name] = tensor
    metadata = shards[0].metadata
    _check(paths[0], shards[0], _TENSORS, len(tensors))
    return GgufFile({key: value for key, value in metadata.items() if not key.startswith("split.")}, tensors)


def _find_parts(path: Path, count: Any) -> list[Path]:
    paths = [path.with_name(name) for name in shard_names(path.name)]
    if len(paths) != count:
        raise WeightsError(f"{path}: {_COUNT} is {count!r:.40}; a shard must be named like m-00001-of-00003.gguf")
    missing = [shard.name for shard in paths if not shard.is_file()]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise WeightsError(f"{path}: one of {count} shards, of which {missing[0]}{others} is missing beside it")
    return paths


def _check(path: Path, shard: GgufFile, key: str, expected: int) -> None:
    found = shard.metadata.get(key)
    if found != expected:
        raise WeightsError(f"{path}: {key} is {found!r:.40}; expected {expected}")
