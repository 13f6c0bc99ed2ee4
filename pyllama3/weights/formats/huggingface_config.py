"""config.json of Llama models as a `ModelConfig`, read as `transformers` reads it (modeling_rope_utils.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...config import ModelConfig, RopeStyle
from ...errors import WeightsError
from ..rope import Llama3Scaling, LongRopeScaling, YarnScaling
from .keys import Keys

_DEFAULTS = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "max_position_embeddings": 2048,
}
_HEADS, _NORM_EPS, _THETA = 32, 1e-6, 10000.0
_ROPE_TYPES = ("default", "linear", "dynamic", "yarn", "longrope", "llama3")

_Factors = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class _Rope:
    """Angles per position, as the fields of `ModelConfig` of the same names."""

    theta: float
    factors: _Factors | None = None
    magnitude: float = 1.0
    long_factors: _Factors | None = None
    original_context: int | None = None


def read_config(keys: Keys, name: str) -> ModelConfig:
    """Return the hyper-parameters; `keys.assumed` tells which were missing.

    Raises:
        WeightsError: the model is not a Llama, or a value is not allowed.
    """
    _refuse_variants(keys)
    sizes = {key: keys.size(key, default) for key, default in _DEFAULTS.items()}
    dim = sizes["hidden_size"]
    heads, kv_heads = keys.heads("num_attention_heads", "num_key_value_heads", default=_HEADS)
    head_dim = keys.head_dim("head_dim", dim // heads)
    rope = _read_rope(keys, head_dim, sizes["max_position_embeddings"])
    return ModelConfig(
        name=name,
        dim=dim,
        layers=sizes["num_hidden_layers"],
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        hidden_dim=sizes["intermediate_size"],
        vocab_size=sizes["vocab_size"],
        context=sizes["max_position_embeddings"],
        norm_eps=keys.positive("rms_norm_eps", _NORM_EPS),
        rope_theta=rope.theta,
        rope_style=RopeStyle.HALF_SPLIT,
        rope_factors=rope.factors,
        rope_magnitude=rope.magnitude,
        long_rope_factors=rope.long_factors,
        original_context=rope.original_context,
    )


def _refuse_variants(keys: Keys) -> None:
    """Refuse what would load and then compute nonsense."""
    architectures = keys.metadata.get("architectures", ["LlamaForCausalLM"])
    is_llama = keys.metadata.get("model_type", "llama") == "llama"
    if not is_llama:
        raise keys.error("model_type", "'llama'")
    if "model_type" not in keys.metadata and architectures != ["LlamaForCausalLM"]:
        raise keys.error("architectures", "['LlamaForCausalLM']")
    if keys.metadata.get("hidden_act", "silu") not in ("silu", "swish"):
        raise keys.error("hidden_act", "'silu'")
    if keys.metadata.get("partial_rotary_factor", 1.0) != 1.0:
        raise keys.error("partial_rotary_factor", "1.0")
    if "quantization_config" in keys.metadata:
        raise WeightsError(f"{keys.path}: quantization_config is set; only F32, F16 and BF16 weights are supported")


def _read_rope(keys: Keys, head_dim: int, context: int) -> _Rope:
    """Read the angles; transformers 5 keeps in rope_parameters what was rope_scaling before."""
    key = "rope_scaling" if keys.metadata.get("rope_scaling") else "rope_parameters"
    values = keys.metadata.get(key, {})
    if not isinstance(values, dict):
        raise keys.error(key, "an object")
    rope = Keys(keys.path, {name: value for name, value in values.items() if value is not None})
    theta = (rope if "rope_theta" in rope.metadata else keys).positive("rope_theta", _THETA)
    type = rope.metadata.get("rope_type", rope.metadata.get("type", "default"))
    if rope.metadata.get("partial_rotary_factor", 1.0) != 1.0:
        raise rope.error("partial_rotary_factor", "1.0")
    if type not in _ROPE_TYPES:
        raise WeightsError(f"{keys.path}: {key} has type {type!r:.40}; supported: {', '.join(_ROPE_TYPES)}")
    if type == "linear":
        return _Rope(theta=theta, factors=(rope.positive("factor"),) * (head_dim // 2))
    if type in ("default", "dynamic"):  # dynamic scaling begins where the context ends
        return _Rope(theta=theta)
    original_key = "original_max_position_embeddings"
    original = (keys if original_key in keys.metadata else rope).size(original_key, context)
    keys.assumed += [f"{key}.{line}" for line in rope.assumed]
    if type == "llama3":
        scaling = Llama3Scaling(
            factor=rope.positive("factor"),
            low_freq_factor=rope.positive("low_freq_factor"),
            high_freq_factor=rope.positive("high_freq_factor"),
            original_context=original,
        )
        if scaling.high_freq_factor <= scaling.low_freq_factor:
            raise rope.error("high_freq_factor", f"more than low_freq_factor, {scaling.low_freq_factor}")
        return _Rope(theta=theta, factors=tuple(scaling.divisors(head_dim, theta).tolist()))
    factor = rope.positive("factor", context / original)
    if type == "longrope":
        return _long_rope(rope, theta, head_dim // 2, factor, original)
    return _yarn(rope, theta, head_dim, factor, original)


def _yarn(rope: Keys, theta: float, head_dim: int, factor: float, original: int) -> _Rope:
    if theta <= 1:
        raise rope.error("rope_theta", "a number above 1 for YaRN")
    yarn = YarnScaling(
        factor=factor,
        original_context=original,
        beta_fast=rope.positive("beta_fast", YarnScaling.beta_fast),
        beta_slow=rope.positive("beta_slow", YarnScaling.beta_slow),
        truncate=rope.flag("truncate", True),
    )
    magnitude = yarn.magnitude
    if "mscale" in rope.metadata and "mscale_all_dim" in rope.metadata:
        magnitude = yarn.scaled_magnitude(rope.positive("mscale")) / yarn.scaled_magnitude(
            rope.positive("mscale_all_dim")
        )
    return _Rope(
        theta=theta,
        factors=tuple(yarn.divisors(head_dim, theta).tolist()),
        magnitude=rope.positive("attention_factor", magnitude),
    )


def _long_rope(rope: Keys, theta: float, pairs: int, factor: float, original: int) -> _Rope:
    def factors(key: str) -> _Factors:
        values: Any = rope.metadata.get(key)
        if not isinstance(values, list) or len(values) != pairs:
            raise rope.error(key, f"a list of {pairs} positive numbers")
        of_pairs = Keys(rope.path, {f"{key}[{n}]": value for n, value in enumerate(values)})
        return tuple(of_pairs.positive(name) for name in of_pairs.metadata)

    if original <= 1:
        raise rope.error("original_max_position_embeddings", "an integer from 2 on for longrope")
    scaling = LongRopeScaling(factor=factor, original_context=original)
    return _Rope(
        theta=theta,
        factors=factors("short_factor"),
        long_factors=factors("long_factor"),
        original_context=original,
        magnitude=rope.positive("attention_factor", scaling.magnitude),
    )
