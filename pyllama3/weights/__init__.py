"""Model files of any supported format, as named tensors and a `ModelConfig`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import WeightsError
from .gguf import MAGIC as GGUF_MAGIC
from .gguf_llama import load_gguf
from .huggingface import CONFIG, load_huggingface
from .llama2c import load_llama2c
from .mapping import map_file
from .meta import PARAMS, load_meta
from .tensor import Tensor, Weights
from .types import TensorType

__all__ = ["Tensor", "TensorType", "Weights", "format_name", "load_weights"]

_Loader = Callable[[Path], Weights]

_DIRECTORIES: dict[str, _Loader] = {CONFIG: load_huggingface, PARAMS: load_meta}
"""A directory's format is told by a file in it."""
_SUFFIXES: dict[str, _Loader] = {".safetensors": load_huggingface, ".pth": load_meta, ".bin": load_llama2c}
"""That of a file by the end of its name, unless it begins as a GGUF file does, whatever its name."""


_NAMES: dict[_Loader, str] = {
    load_gguf: "GGUF",
    load_huggingface: "Hugging Face",
    load_meta: "Meta",
    load_llama2c: "llama2.c",
}


def format_name(path: Path) -> str:
    """Return what the format of a model is called.

    Raises:
        WeightsError: the file is missing or of an unknown format.
    """
    return _NAMES[_find_loader(path)]


def load_weights(path: Path | str) -> Weights:
    """Load a model: a GGUF file, a directory from Hugging Face or Meta, or a file in one, or a llama2.c file.

    Tensors stay on disk until they are used.

    Raises:
        WeightsError: the file is missing, of an unknown format, damaged, or not a Llama model.
    """
    path = Path(path)
    try:
        return _find_loader(path)(path)
    except OSError as error:
        raise WeightsError(f"{error.filename or path}: {error.strerror or error}") from error


def _find_loader(path: Path) -> _Loader:
    if path.is_dir():
        for name, loader in _DIRECTORIES.items():
            if (path / name).exists():
                return loader
        raise WeightsError(f"{path}: a directory without {' (Hugging Face) or '.join(_DIRECTORIES)} (Meta)")
    start = map_file(path)[: len(GGUF_MAGIC)]
    if start == GGUF_MAGIC:
        return load_gguf
    if path.suffix in _SUFFIXES:
        return _SUFFIXES[path.suffix]
    raise WeightsError(f"{path}: starts with {start!r}; expected {GGUF_MAGIC!r} or a name with {', '.join(_SUFFIXES)}")
