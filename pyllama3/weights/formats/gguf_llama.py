"""Llama models in GGUF: the "llama.*" metadata as a `ModelConfig` (keys: ggml-org/ggml, docs/gguf.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from ..sampling import gguf_sampling
from ..tensor import Tensor, Weights
from .gguf_split import read_gguf_shards
from .keys import Keys

ROPE_FREQS = "rope_freqs.weight"
_LONG_FACTORS, _SHORT_FACTORS = "rope_factors_long.weight", "rope_factors_short.weight"
SCALING = "llama.rope.scaling"
_OLD_FACTOR = "llama.rope.scale_linear"
TEMPLATE = "tokenizer.chat_template"
_DEFAULT_ROPE_THETA = 10000.0


def load_gguf(path: Path) -> Weights:
    """Map a GGUF file, or all shards of a split one, and check that it holds a Llama model.

    Raises:
        WeightsError: see `read_gguf_shards`; or the model is not a Llama, or its tensors do not fit its metadata.
    """
    file = read_gguf_shards(path)
    keys = Keys(path, file.metadata)
    _refuse_variants(keys)
    config = _read_config(keys, file.tensors)
    rope = {name: file.tensors.pop(name, None) for name in (ROPE_FREQS, _LONG_FACTORS, _SHORT_FACTORS)}
    tensors = check_tensors(path, config, file.tensors)
    config = _with_rope_scaling(keys, config, rope)
    return Weights(
        path,
        config,
        tensors,
        load_vocabulary=partial(read_gguf_vocabulary, file.metadata),
        load_templates=partial(_read_templates, file.metadata),
        load_sampling=partial(gguf_sampling, file.metadata),
        metadata=file.metadata,
        assumed=tuple(keys.assumed),
    )


def _read_templates(metadata: Mapping[str, Any]) -> dict[str, str]:
    names = metadata.get(f"{TEMPLATE}s", [])
    keys = {"default": TEMPLATE} | {str(name): f"{TEMPLATE}.{name}" for name in names if isinstance(names, Sequence)}
    templates = {name: metadata.get(key) for name, key in keys.items()}
    return {name: source for name, source in templates.items() if isinstance(source, str) and source}


def rope_metadata(config: ModelConfig) -> dict[str, Any]:
    """Return what GGUF says about the angles beside the tensors of `rope_tensors`."""
    metadata: dict[str, Any] = {}
    if config.rope_magnitude != 1:
        metadata[f"{SCALING}.attn_factor"] = config.rope_magnitude
    if config.long_rope_factors is not None:
        metadata |= {f"{SCALING}.type": "longrope", f"{SCALING}.original_context_length": config.original_context}
    return metadata


def rope_tensors(config: ModelConfig) -> dict[str, NDArray[np.float32]]:
    """Return the divisors of the angles under the names of their tensors, as these are what is left of any scaling."""
    if config.long_rope_factors is None:
        factors = {ROPE_FREQS: config.rope_factors}
    else:
        factors = {_SHORT_FACTORS: config.rope_factors, _LONG_FACTORS: config.long_rope_factors}
    return {name: np.array(values, "<f4") for name, values in factors.items() if values is not None}


def template_metadata(templates: Mapping[str, str]) -> dict[str, Any]:
    """Return chat templates by name as metadata, of which `load_gguf` makes the same ones again."""
    others = [name for name in templates if name != "default"]
    metadata: dict[str, Any] = {f"{TEMPLATE}.{name}": templates[name] for name in others}
    if others:
        metadata[f"{TEMPLATE}s"] = others
    return metadata | ({TEMPLATE: templates["default"]} if "default" in templates else {})


def _read_config(keys: Keys, tensors: Mapping[str, Tensor]) -> ModelConfig:
    path, metadata = keys.path, keys.metadata
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
        hidden_dim=keys.size_of_all("llama.feed_forward_length"),
        vocab_size=_vocab_size(path, metadata, tensors),
        context=keys.size("llama.context_length"),
        norm_eps=keys.positive("llama.attention.layer_norm_rms_epsilon"),
        rope_theta=keys.positive("llama.rope.freq_base", _DEFAULT_ROPE_THETA),
        rope_style=RopeStyle.INTERLEAVED,
    )


def _refuse_variants(keys: Keys) -> None:
    """Refuse what would load and then compute nonsense."""
    if keys.metadata.get("general.type") == "adapter":
        raise WeightsError(f"{keys.path}: a LoRA adapter; load the model that it was made for, with --lora {keys.path}")
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


def _with_rope_scaling(keys: Keys, config: ModelConfig, tensors: Mapping[str, Tensor | None]) -> ModelConfig:
    """Add the divisors of the angles: those of "llama3" scaling and LongRoPE come as tensors, the others by formulas.

    A factor without a type is a linear one, and one of 0 is none, as in llama.cpp.
    """
    type_key, factor_key = f"{SCALING}.type", f"{SCALING}.factor"
    if factor_key not in keys.metadata and _OLD_FACTOR in keys.metadata:
        factor_key = _OLD_FACTOR
    has_factor = keys.metadata.get(factor_key, 0) != 0
    scaling = keys.metadata.get(type_key, "linear")
    if scaling not in ("none", "linear", "yarn", "longrope", "llama3"):
        raise keys.error(type_key, "'none', 'linear', 'yarn', 'longrope', 'llama3'")
    rope_freqs = tensors[_SHORT_FACTORS if scaling == "longrope" else ROPE_FREQS]
    if scaling in ("llama3", "longrope") and rope_freqs is None:
        name = _SHORT_FACTORS if scaling == "longrope" else ROPE_FREQS
        raise WeightsError(f"{keys.path}: {type_key} is {scaling!r}, but there is no tensor {name!r}")
    divisors = np.ones(config.head_dim // 2, np.float32)
    magnitude = keys.positive(f"{SCALING}.attn_factor", 1.0) if f"{SCALING}.attn_factor" in keys.metadata else 1.0
    if rope_freqs is not None:
        divisors = _read_rope_freqs(keys.path, rope_freqs, divisors.shape)
    if scaling == "linear" and has_factor:
        divisors = divisors * np.float32(keys.positive(factor_key))
    elif scaling == "yarn":
        if config.rope_theta <= 1:
            raise keys.error("llama.rope.freq_base", "a number above 1 for YaRN")
        yarn = _yarn_scaling(keys, config.context)
        divisors = divisors * yarn.divisors(config.head_dim, config.rope_theta)
        magnitude *= yarn.magnitude
    if scaling == "longrope" and (long_factors := tensors[_LONG_FACTORS]) is not None:
        config = replace(
            config,
            long_rope_factors=tuple(_read_rope_freqs(keys.path, long_factors, divisors.shape).tolist()),
            original_context=keys.size(f"{SCALING}.original_context_length", config.context),
        )
    if magnitude == 1 and (divisors == 1).all() and config.long_rope_factors is None:
        return config
    return replace(config, rope_factors=tuple(divisors.tolist()), rope_magnitude=magnitude)


def _read_rope_freqs(path: Path, tensor: Tensor, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if tensor.shape != shape:
        raise WeightsError(f"{path}: {tensor.name!r} has shape {tensor.shape}; allowed: {shape}")
    divisors = tensor.dequantize()
    if not (np.isfinite(divisors) & (divisors > 0)).all():
        raise WeightsError(f"{path}: {tensor.name!r} has factors that are not positive numbers")
    return divisors


def _yarn_scaling(keys: Keys, context: int) -> YarnScaling:
    return YarnScaling(
        factor=keys.positive(f"{SCALING}.factor"),
        original_context=keys.size(f"{SCALING}.original_context_length", context),
        beta_fast=keys.positive(f"{SCALING}.yarn_beta_fast", YarnScaling.beta_fast),
        beta_slow=keys.positive(f"{SCALING}.yarn_beta_slow", YarnScaling.beta_slow),
    )
