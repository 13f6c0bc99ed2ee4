"""Model files of any supported format, as named tensors and a `ModelConfig`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import WeightsError
from .formats.gguf import MAGIC as GGUF_MAGIC
from .mapping import map_file
from .tensor import Tensor, Weights
from .types import TensorType

__all__ = ["Tensor", "TensorType", "Weights", "format_name", "load_weights", "with_lora"]


@dataclass(frozen=True)
class _Format:
    """A format, whose module is imported when a model of it is loaded."""

    name: str
    module: str
    loader: str

    def load(self, path: Path) -> Weights:
        loader = getattr(importlib.import_module(f".formats.{self.module}", __name__), self.loader)
        weights: Weights = loader(path)
        return weights


_GGUF = _Format("GGUF", "gguf_llama", "load_gguf")
_HUGGINGFACE = _Format("Hugging Face", "huggingface", "load_huggingface")
_META = _Format("Meta", "meta", "load_meta")
_LLAMA2C = _Format("llama2.c", "llama2c", "load_llama2c")

_DIRECTORIES = {"config.json": _HUGGINGFACE, "params.json": _META}
"""A directory's format is told by a file in it."""
_ZIP = b"PK"
"""A .bin that begins so is one of torch.save, as Hugging Face's pytorch_model.bin."""
_ADAPTER = "adapter_config.json"
_SUFFIXES = {".safetensors": _HUGGINGFACE, ".pth": _META, ".bin": _LLAMA2C}
"""That of a file by the end of its name, unless it begins as a GGUF file does, whatever its name."""


def format_name(path: Path) -> str:
    """Return what the format of a model is called.

    Raises:
        WeightsError: the file is missing or of an unknown format.
    """
    return _find_format(path).name


def load_weights(path: Path | str) -> Weights:
    """Load a model: a GGUF file, a directory from Hugging Face or Meta, or a file in one, or a llama2.c file.

    Tensors stay on disk until they are used.

    Raises:
        WeightsError: the file is missing, of an unknown format, damaged, or not a Llama model.
    """
    path = Path(path)
    try:
        return _find_format(path).load(path)
    except OSError as error:
        raise WeightsError(f"{error.filename or path}: {error.strerror or error}") from error


def with_lora(weights: Weights, path: Path, scale: float = 1.0) -> Weights:
    """Return weights with a LoRA adapter merged into them.

    Raises:
        WeightsError: see `lora.with_lora`.
    """
    from .lora import with_lora

    try:
        return with_lora(weights, path, scale)
    except OSError as error:
        raise WeightsError(f"{error.filename or path}: {error.strerror or error}") from error


def _find_format(path: Path) -> _Format:
    if path.is_dir():
        if (path / _ADAPTER).exists() and not (path / "config.json").exists():
            raise WeightsError(f"{path}: a LoRA adapter; load the model that it was made for, with --lora {path}")
        for name, format in _DIRECTORIES.items():
            if (path / name).exists():
                return format
        raise WeightsError(f"{path}: a directory without {' (Hugging Face) or '.join(_DIRECTORIES)} (Meta)")
    start = map_file(path)[: len(GGUF_MAGIC)]
    if start == GGUF_MAGIC:
        return _GGUF
    if path.suffix == ".bin" and start.startswith(_ZIP):
        return _HUGGINGFACE
    if path.suffix in _SUFFIXES:
        return _SUFFIXES[path.suffix]
    raise WeightsError(f"{path}: starts with {start!r}; expected {GGUF_MAGIC!r} or a name with {', '.join(_SUFFIXES)}")
