"""LoRA adapters (Hu et al., 2021) of GGUF files and PEFT directories, merged into the weights they were made for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import RopeStyle
from ..errors import WeightsError
from .convert.quantize import quantize
from .formats.gguf import MAGIC as GGUF_MAGIC
from .formats.gguf_split import read_gguf_shards
from .formats.huggingface import to_gguf_name
from .formats.json_files import read_json
from .formats.keys import Keys
from .formats.pth import read_pth
from .formats.safetensors import read_safetensors
from .layout import gguf_row_order
from .mapping import map_file
from .tensor import Tensor, Weights
from .types import TensorType

PEFT_CONFIG = "adapter_config.json"
_PEFT_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_PEFT_NAME = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")
_GGUF_NAME = re.compile(r"(.+)\.lora_([ab])")
_UNSUPPORTED = ("use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "modules_to_save", "layers_to_transform")
"""Settings of PEFT that would change more, or otherwise."""

_Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class _Adapter:
    """Pairs (A, B) by the name of the tensor that B A times `scale` is added to; rows of B in the order of its file."""

    path: Path
    pairs: Mapping[str, tuple[_Matrix, _Matrix]]
    scale: float | None
    """None: alpha is in `alpha`, to be divided by each rank."""
    alpha: float
    is_gguf: bool


def with_lora(weights: Weights, path: Path, scale: float = 1.0) -> Weights:
    """Return weights with an adapter merged into them: W + scale alpha/rank B A.

    Merged tensors keep the type F32, F16 or BF16; quantized ones become F16.

    Raises:
        WeightsError: the adapter is missing, damaged, or made for another model.
    """
    adapter = _read(path)
    tensors = dict(weights.tensors)
    for name, (a, b) in adapter.pairs.items():
        if name not in tensors:
            raise WeightsError(f"{path}: changes {name!r:.80}, which {weights.path} does not have")
        tensor = tensors[name]
        rank = a.shape[0]
        if (b.shape[0], a.shape[1]) != tensor.shape or b.shape[1] != rank:
            found = f"{b.shape} and {a.shape}"
            raise WeightsError(f"{path}: the factors of {name!r:.80} are {found}; the model has {tensor.shape}")
        factor = scale * (adapter.alpha / rank if adapter.scale is None else adapter.scale)
        tensors[name] = _merged(tensor, factor * (_in_order_of(weights, adapter, name, b) @ a))
    return replace(weights, tensors=tensors)


def _read(path: Path) -> _Adapter:
    if path.is_dir():
        return _read_peft(path)
    if map_file(path)[: len(GGUF_MAGIC)] == GGUF_MAGIC:
        return _read_gguf(path)
    if path.name in _PEFT_FILES:
        return _read_peft(path.parent)
    raise WeightsError(f"{path}: not a LoRA adapter; allowed: a GGUF file, or a directory with {PEFT_CONFIG}")


def _read_gguf(path: Path) -> _Adapter:
    file = read_gguf_shards(path)
    keys = Keys(path, file.metadata)
    for key, allowed in (("general.type", "adapter"), ("general.architecture", "llama"), ("adapter.type", "lora")):
        if file.metadata.get(key) != allowed:
            raise keys.error(key, repr(allowed))
    pairs = _pairs(path, file.tensors, _GGUF_NAME)
    return _Adapter(path, pairs, None, keys.positive("adapter.lora.alpha"), is_gguf=True)


def _read_peft(directory: Path) -> _Adapter:
    keys = Keys(directory / PEFT_CONFIG, read_json(directory / PEFT_CONFIG))
    if keys.metadata.get("peft_type", "LORA") != "LORA" or keys.metadata.get("bias", "none") != "none":
        raise WeightsError(f"{keys.path}: only adapters of type LORA that leave biases alone are supported")
    for name in _UNSUPPORTED:
        if keys.metadata.get(name):
            raise keys.error(name, "nothing")
    files = [directory / name for name in _PEFT_FILES if (directory / name).exists()]
    if not files:
        raise WeightsError(f"{directory}: no {' or '.join(_PEFT_FILES)}")
    tensors = read_pth(files[0]) if files[0].suffix == ".bin" else read_safetensors(files[0])
    alpha, rank = keys.positive("lora_alpha", 8.0), keys.size("r", 8)
    scale = alpha / rank**0.5 if keys.flag("use_rslora", False) else alpha / rank
    return _Adapter(directory, _pairs(directory, tensors, _PEFT_NAME), scale, alpha, is_gguf=False)


def _pairs(path: Path, tensors: Mapping[str, Tensor], pattern: re.Pattern[str]) -> dict[str, tuple[_Matrix, _Matrix]]:
    found: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        match = pattern.fullmatch(name)
        if match is None or len(tensor.shape) != 2:
            raise WeightsError(f"{path}: tensor {name!r:.80} is not one of a LoRA adapter")
        target = to_gguf_name(f"{match[1]}.weight") if pattern is _PEFT_NAME else match[1]
        found.setdefault(target, {})[match[2].lower()] = tensor.dequantize()
    for name, pair in found.items():
        if pair.keys() != {"a", "b"}:
            raise WeightsError(f"{path}: {name!r:.80} has one half of a pair only")
    if not found:
        raise WeightsError(f"{path}: has no tensors")
    return {name: (pair["a"], pair["b"]) for name, pair in found.items()}


def _in_order_of(weights: Weights, adapter: _Adapter, name: str, b: _Matrix) -> _Matrix:
    """Return the rows of B in the order of the model's: files of the two kinds have those of q and k in another."""
    if adapter.is_gguf:
        order = gguf_row_order(name, weights.config)
        if order is None:
            return b
        half_split = np.empty_like(b)
        half_split[order] = b
        return half_split
    if gguf_row_order(name, weights.config) is not None:
        return b
    as_huggingface = replace(weights.config, rope_style=RopeStyle.HALF_SPLIT)
    order = gguf_row_order(name, as_huggingface)
    return b if order is None else b[order]


def _merged(tensor: Tensor, change: _Matrix) -> Tensor:
    values = tensor.dequantize() + change.astype(np.float32)
    tensor.release()
    type = tensor.type if tensor.type in (TensorType.F32, TensorType.F16, TensorType.BF16) else TensorType.F16
    data = quantize(type, values)
    data.flags.writeable = False
    return Tensor(tensor.name, type, tensor.shape, (data.reshape(-1),))
