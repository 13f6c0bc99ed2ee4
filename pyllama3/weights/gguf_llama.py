"""Llama models in GGUF: the "llama.*" metadata as a `ModelConfig` (keys: ggml-org/ggml, docs/gguf.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

import numpy as np

from ..config import ModelConfig, RopeStyle
from ..errors import WeightsError
from .gguf import StringArray, read_gguf
from .layout import EMBEDDING, check_tensors
from .tensor import Tensor, Weights

_ROPE_FREQS = "rope_freqs.weight"
_DEFAULT_ROPE_THETA = 10000.0
_MAX_SIZE = 2**31 - 1
"""The engine keeps sizes in 32-bit integers."""


def load_gguf(path: Path) -> Weights:
    """Map a GGUF file and check that it holds a Llama model.

    Raises:
        WeightsError: see `read_gguf`; or the model is not a Llama, or its tensors do not fit its metadata.
    """
    file = read_gguf(path)
    config = _read_config(path, file.metadata, file.tensors)
    rope_freqs = file.tensors.pop(_ROPE_FREQS, None)
    tensors = check_tensors(path, config, file.tensors)
    config = replace(config, rope_factors=_rope_factors(_Keys(path, file.metadata), rope_freqs, config.head_dim))
    return Weights(path, config, tensors, file.metadata)


def _read_config(path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ModelConfig:
    keys = _Keys(path, metadata)
    _refuse_variants(keys)
    dim = keys.size("llama.embedding_length")
    heads = keys.size("llama.attention.head_count")
    kv_heads = keys.size("llama.attention.head_count_kv", heads)
    if heads % kv_heads:
        raise keys.error("llama.attention.head_count_kv", f"a divisor of the {heads} heads")
    head_dim = keys.size("llama.attention.key_length", dim // heads)
    for key in ("llama.attention.value_length", "llama.rope.dimension_count"):
        if keys.size(key, head_dim) != head_dim:
            raise keys.error(key, f"the head dimension {head_dim}")
    if head_dim % 2:
        raise WeightsError(f"{path}: the head dimension is {head_dim}; it must be even")
    return ModelConfig(
        name=str(metadata.get("general.name", path.stem)),
        dim=dim,
        layers=keys.size("llama.block_count"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        hidden_dim=keys.size("llama.feed_forward_length"),
        vocab_size=_vocab_size(path, metadata, tensors),
        context=keys.size("llama.context_length"),
        norm_eps=keys.positive("llama.attention.layer_norm_rms_epsilon"),
        rope_theta=keys.positive("llama.rope.freq_base", _DEFAULT_ROPE_THETA),
        rope_style=RopeStyle.INTERLEAVED,
    )


class _Keys:
    """Metadata values, checked on the way out."""

    def __init__(self, path: Path, metadata: Mapping[str, Any]) -> None:
        self.path = path
        self.metadata = metadata

    def error(self, key: str, allowed: str) -> WeightsError:
        if key not in self.metadata:
            return WeightsError(f"{self.path}: no metadata key {key!r}; {allowed} is needed")
        return WeightsError(f"{self.path}: {key} is {short_repr(self.metadata[key])}; allowed: {allowed}")

    def size(self, key: str, default: int | None = None) -> int:
        value = self.metadata.get(key, default)
        if type(value) is not int or not 1 <= value <= _MAX_SIZE:
            raise self.error(key, f"an integer from 1 to {_MAX_SIZE}")
        return value

    def positive(self, key: str, default: float | None = None) -> float:
        value = self.metadata.get(key, default)
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise self.error(key, "a positive number")
        return float(value)


def _refuse_variants(keys: _Keys) -> None:
    """Refuse what would load and then compute nonsense."""
    if keys.metadata.get("general.architecture") != "llama":
        raise keys.error("general.architecture", "'llama'")
    if keys.metadata.get("split.count", 1) != 1:
        raise keys.error("split.count", "1 (merge the parts of a split model with llama-gguf-split --merge)")
    if keys.metadata.get("llama.expert_count", 0) != 0:
        raise keys.error("llama.expert_count", "0 (mixtures of experts are not supported)")


def _vocab_size(path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> int:
    """Rows of the embedding, as `llama.vocab_size` is optional."""
    if EMBEDDING not in tensors:
        raise WeightsError(f"{path}: missing tensor {EMBEDDING!r}")
    rows = tensors[EMBEDDING].shape[0]
    tokens = metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, StringArray) and len(tokens) != rows:
        raise WeightsError(f"{path}: the vocabulary has {len(tokens)} tokens, tensor {EMBEDDING!r} has {rows} rows")
    return rows


def _rope_factors(keys: _Keys, tensor: Tensor | None, head_dim: int) -> tuple[float, ...] | None:
    """Divisors of the rotation angles: a linear factor, or those of "llama3" scaling, which come as a tensor."""
    key = "llama.rope.scaling.type"
    scaling = keys.metadata.get(key, "none")
    if scaling not in ("none", "linear", "llama3"):
        raise keys.error(key, "'none', 'linear', 'llama3'")
    if scaling == "llama3" and tensor is None:
        raise WeightsError(f"{keys.path}: {key} is 'llama3', but there is no tensor {_ROPE_FREQS!r}")
    if scaling != "linear" and tensor is None:
        return None
    factors = np.ones(head_dim // 2, np.float32)
    if tensor is not None:
        if tensor.shape != factors.shape:
            raise WeightsError(f"{keys.path}: {_ROPE_FREQS!r} has shape {tensor.shape}; allowed: {factors.shape}")
        factors = tensor.dequantize()
        if not (np.isfinite(factors) & (factors > 0)).all():
            raise WeightsError(f"{keys.path}: {_ROPE_FREQS!r} has factors that are not positive numbers")
    if scaling == "linear":
        factors = factors * np.float32(keys.positive("llama.rope.scaling.factor"))
    return tuple(factors.tolist())
