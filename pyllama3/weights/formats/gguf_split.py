"""Models split over several GGUF files, as llama.cpp's gguf-split writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import WeightsError
from ...files import part_names
from .gguf import GgufFile, read_gguf

_NUMBER, _COUNT, _TENSORS = "split.no", "split.count", "split.tensors.count"


def read_gguf_parts(path: Path) -> GgufFile:
    """Read a GGUF file or, given any part of a split model, all of its parts as one; the metadata is the first part's.

    Raises:
        OSError: a file cannot be opened or mapped.
        WeightsError: see `read_gguf`; or a part is missing, or does not belong to the others.
    """
    file = read_gguf(path)
    count = file.metadata.get(_COUNT, 1)
    if count in (0, 1):
        return file
    paths = _find_parts(path, count)
    parts = [file if part == path else read_gguf(part) for part in paths]
    tensors = {}
    for number, (part_path, part) in enumerate(zip(paths, parts, strict=True)):
        _check(part_path, part, _NUMBER, number)
        _check(part_path, part, _COUNT, count)
        for name, tensor in part.tensors.items():
            if name in tensors:
                raise WeightsError(f"{part_path}: tensor {name!r:.80} is in an earlier part already")
            tensors[name] = tensor
    metadata = parts[0].metadata
    _check(paths[0], parts[0], _TENSORS, len(tensors))
    return GgufFile({key: value for key, value in metadata.items() if not key.startswith("split.")}, tensors)


def _find_parts(path: Path, count: Any) -> list[Path]:
    paths = [path.with_name(name) for name in part_names(path.name)]
    if len(paths) != count:
        raise WeightsError(f"{path}: {_COUNT} is {count!r:.40}; a part must be named like m-00001-of-00003.gguf")
    missing = [part.name for part in paths if not part.is_file()]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise WeightsError(f"{path}: one of {count} parts, of which {missing[0]}{others} is missing beside it")
    return paths


def _check(path: Path, part: GgufFile, key: str, expected: int) -> None:
    found = part.metadata.get(key)
    if found != expected:
        raise WeightsError(f"{path}: {key} is {found!r:.40}; expected {expected}")
