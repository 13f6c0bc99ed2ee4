"""Model files of any supported format, as named tensors and a `ModelConfig`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import WeightsError
from .gguf import MAGIC as GGUF_MAGIC
from .gguf_llama import load_gguf
from .tensor import Tensor, Weights
from .types import TensorType

__all__ = ["Tensor", "TensorType", "Weights", "load_weights"]

_LOADERS: dict[bytes, Callable[[Path], Weights]] = {GGUF_MAGIC: load_gguf}
"""A format is told by its first bytes."""

_LFS_POINTER = b"version https://git-lfs"


def load_weights(path: Path | str) -> Weights:
    """Load a model file; its tensors stay on disk until they are used.

    Raises:
        WeightsError: the file is missing, of an unknown format, damaged, or not a Llama model.
    """
    path = Path(path)
    try:
        return _find_loader(path)(path)
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error


def _find_loader(path: Path) -> Callable[[Path], Weights]:
    if not path.exists():
        raise WeightsError(f"{path}: no such file")
    if not path.is_file():
        raise WeightsError(f"{path}: {'a directory' if path.is_dir() else 'not a regular file'}; expected a GGUF file")
    with path.open("rb") as file:
        start = file.read(len(_LFS_POINTER))
    if not start:
        raise WeightsError(f"{path}: the file is empty")
    if start == _LFS_POINTER:
        raise WeightsError(f"{path}: a Git LFS pointer, not the model itself; fetch it with `git lfs pull`")
    for magic, loader in _LOADERS.items():
        if start.startswith(magic):
            return loader
    raise WeightsError(f"{path}: starts with {start[:4]!r}, expected {' or '.join(map(repr, _LOADERS))}")
