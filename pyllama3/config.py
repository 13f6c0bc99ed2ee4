"""Hyper-parameters of a model, independent of the file format they were read from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal, get_args

Precision = Literal["exact", "default", "fast"]
PRECISIONS = get_args(Precision)
"""How vectors are multiplied with quantized matrices: as float32, as integers of 16 bits, or of 8 bits."""

CacheType = Literal["f32", "f16", "int8"]
CACHE_TYPES = get_args(CacheType)
"""What keys and values are stored as: numbers of single or half precision, or integers with a scale for each 32."""


class RopeStyle(IntEnum):
    """Which elements of a head rotate together; the values are those of the engine's enumeration."""

    INTERLEAVED = 0
    """Pairs (2i, 2i+1): the row order of Meta's checkpoints and of GGUF."""
    HALF_SPLIT = 1
    """Pairs (i, i + head_dim/2): the row order of Hugging Face checkpoints."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Hyper-parameters of a Llama 3 model.

    `rope_factors` holds head_dim/2 divisors of the rotation angles (Llama 3.1 scaling), None for no scaling;
    `rope_magnitude` multiplies rotated queries and keys (YaRN scaling). `long_rope_factors` take the place of
    `rope_factors` in contexts longer than `original_context` (LongRoPE).
    """

    name: str
    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden_dim: int
    vocab_size: int
    context: int
    norm_eps: float
    rope_theta: float
    rope_style: RopeStyle = RopeStyle.INTERLEAVED
    rope_factors: tuple[float, ...] | None = None
    rope_magnitude: float = 1.0
    long_rope_factors: tuple[float, ...] | None = None
    original_context: int | None = None

    @property
    def kv_dim(self) -> int:
        """Width of the keys (and of the values) of one position in one layer."""
        return self.kv_heads * self.head_dim

    def for_context(self, context: int) -> ModelConfig:
        """Return the hyper-parameters for a context of so many tokens, without those for others."""
        if self.long_rope_factors is None or self.original_context is None:
            return self
        factors = self.long_rope_factors if context > self.original_context else self.rope_factors
        return replace(self, rope_factors=factors, long_rope_factors=None, original_context=None)
