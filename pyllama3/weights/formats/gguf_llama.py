"""Llama models in GGUF: the "llama.*" metadata as a `ModelConfig` (keys: ggml-org/ggml, docs/gguf.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import ModelConfig, RopeStyle
from ...errors import WeightsError
from ...tokenizer.string_array import StringArray
from ...tokenizer.vocabulary import read_gguf_vocabulary
from ..layout import EMBEDDING, check_tensors
from ..rope import YarnScaling
from ..tensor import Tensor, Weights
from .gguf_split import read_gguf_shards
from .keys import Keys

ROPE_FREQS = "rope_freqs.weight"
SCALING = "llama.rope.scaling"
_DEFAULT_ROPE_THETA = 10000.0


def load_gguf(path: Path) -> Weights:
    """Map a GGUF file, or all shards of a split one, and check that it holds a Llama model.

    Raises:
        WeightsError: see `read_gguf_shards`; or the model is not a Llama, or its tensors do not fit its metadata.
    """
    file = read_gguf_shards(path)
    config = _read_config(path, file.metadata, file.tensors)
    rope_freqs = file.tensors.pop(ROPE_FREQS, None)
    tensors = check_tensors(path, config, file.tensors)
    config = _with_rope_scaling(Keys(path, file.metadata), config, rope_freqs)
    return Weights(
        path,
        config,
        tensors,
        load_vocabulary=partial(read_gguf_vocabulary, file.metadata),
        load_template=partial(_read_template, file.metadata),
        metadata=file.metadata,
    )


def _read_template(metadata: Mapping[str, Any]) -> str | None:
    template = metadata.get("tokenizer.chat_template")
    return template if isinstance(template, str) and template else None


def _read_config(path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ModelConfig:
    keys = Keys(path, metadata)
    _refuse_variants(keys)
    dim = keys.size("llama.embedding_length")
    heads, kv_heads = keys.heads("llama.attention.head_count", "llama.attention.head_count_kv")
    head_dim = keys.head_dim("llama.attention.key_length", dim // heads)
    for key in ("llama.attention.value_length", "llama.rope.dimension_count"):
        if keys.size(key, head_dim) != head_dim:
            raise keys.error(key, f"the head dimension {head_dim}")
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


def _refuse_variants(keys: Keys) -> None:
    """Refuse what would load and then compute nonsense."""
    if keys.metadata.get("general.architecture") != "llama":
        raise keys.error("general.architecture", "'llama'")
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


def _with_rope_scaling(keys: Keys, config: ModelConfig, rope_freqs: Tensor | None) -> ModelConfig:
    """Add the divisors of the angles: those of "llama3" scaling come as a tensor, the others by formulas.

    A factor without a type is a linear one, as in llama.cpp.
    """
    type_key, factor_key = f"{SCALING}.type", f"{SCALING}.factor"
    scaling = keys.metadata.get(type_key, "linear" if factor_key in keys.metadata else "none")
    if scaling not in ("none", "linear", "yarn", "llama3"):
        raise keys.error(type_key, "'none', 'linear', 'yarn', 'llama3'")
    if scaling == "llama3" and rope_freqs is None:
        raise WeightsError(f"{keys.path}: {type_key} is 'llama3', but there is no tensor {ROPE_FREQS!r}")
    divisors = np.ones(config.head_dim // 2, np.float32)
    magnitude = keys.positive(f"{SCALING}.attn_factor", 1.0)
    if rope_freqs is not None:
        divisors = _read_rope_freqs(keys.path, rope_freqs, divisors.shape)
    if scaling == "linear":
        divisors = divisors * np.float32(keys.positive(factor_key))
    elif scaling == "yarn":
        if config.rope_theta <= 1:
            raise keys.error("llama.rope.freq_base", "a number above 1 for YaRN")
        yarn = _yarn_scaling(keys, config.context)
        divisors = divisors * yarn.divisors(config.head_dim, config.rope_theta)
        magnitude *= yarn.magnitude
    if magnitude == 1 and (divisors == 1).all():
        return config
    return replace(config, rope_factors=tuple(divisors.tolist()), rope_magnitude=magnitude)


def _read_rope_freqs(path: Path, tensor: Tensor, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if tensor.shape != shape:
        raise WeightsError(f"{path}: {ROPE_FREQS!r} has shape {tensor.shape}; allowed: {shape}")
    divisors = tensor.dequantize()
    if not (np.isfinite(divisors) & (divisors > 0)).all():
        raise WeightsError(f"{path}: {ROPE_FREQS!r} has factors that are not positive numbers")
    return divisors


def _yarn_scaling(keys: Keys, context: int) -> YarnScaling:
    return YarnScaling(
        factor=keys.positive(f"{SCALING}.factor"),
        original_context=keys.size(f"{SCALING}.original_context_length", context),
        beta_fast=keys.positive(f"{SCALING}.yarn_beta_fast", YarnScaling.beta_fast),
        beta_slow=keys.positive(f"{SCALING}.yarn_beta_slow", YarnScaling.beta_slow),
    )
