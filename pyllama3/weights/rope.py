"""RoPE scaling: how contexts longer than those of the training turn into divisors of the rotation angles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Llama3Scaling:
    """Hyper-parameters of Llama 3.1's scaling (meta-llama/llama-models, models/llama3/model.py, `apply_scaling`)."""

    factor: float
    low_freq_factor: float = 1.0
    """Pairs that turn less often than this in the original context have their angles divided by `factor`."""
    high_freq_factor: float = 4.0
    """Pairs that turn more often than this keep their angles."""
    original_context: int = 8192

    def divisors(self, head_dim: int, theta: float) -> NDArray[np.float32]:
        """Return head_dim/2 divisors of the angles; between the two borders their inverses are mixed."""
        turns = self.original_context / (2 * math.pi) * theta ** (-np.arange(0, head_dim, 2) / head_dim)
        kept = np.clip((turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor), 0, 1)
        divisors: NDArray[np.float32] = (1 / ((1 - kept) / self.factor + kept)).astype(np.float32)
        return divisors


@dataclass(frozen=True, kw_only=True)
class YarnScaling:
    """Hyper-parameters of YaRN (Peng et al., "YaRN: Efficient Context Window Extension", 2023, section 3)."""

    factor: float
    """How many times the context is longer than `original_context`."""
    original_context: int
    beta_fast: float = 32.0
    """Pairs that turn more often than this in the original context keep their angles."""
    beta_slow: float = 1.0
    """Pairs that turn less often than this have all their angles divided by `factor`."""
    truncate: bool = True
    """Whether the borders are moved outwards to whole pairs."""

    def divisors(self, head_dim: int, theta: float) -> NDArray[np.float32]:
        """Return head_dim/2 divisors of the angles; between the two borders their inverses are mixed."""
        low = self._pair_that_turns(self.beta_fast, head_dim, theta)
        high = self._pair_that_turns(self.beta_slow, head_dim, theta)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(0, low), min(head_dim - 1, high)
        # an empty range becomes a step, as in llama.cpp (ggml-cpu/ops.cpp, rope_yarn_ramp)
        ramp = (np.arange(head_dim // 2) - low) / max(0.001, high - low)
        kept = 1 - np.clip(ramp, 0, 1)
        divisors: NDArray[np.float32] = (1 / ((1 - kept) / self.factor + kept)).astype(np.float32)
        return divisors

    @property
    def magnitude(self) -> float:
        """What rotated queries and keys are multiplied with: the square root of the paper's 1/t."""
        return self.scaled_magnitude(1)

    def scaled_magnitude(self, scale: float) -> float:
        """Return the magnitude with its logarithm scaled, as DeepSeek's models have it (transformers, "mscale")."""
        return 1 + 0.1 * scale * math.log(max(1, self.factor))

    def _pair_that_turns(self, times: float, head_dim: int, theta: float) -> float:
        """Return which pair (a fraction) turns so many times within the original context."""
        return head_dim * math.log(self.original_context / (times * 2 * math.pi)) / (2 * math.log(theta))


@dataclass(frozen=True, kw_only=True)
class LongRopeScaling:
    """Hyper-parameters of LongRoPE (Ding et al., 2024), whose divisors come with the model."""

    factor: float
    """How many times the context is longer than `original_context`."""
    original_context: int

    @property
    def magnitude(self) -> float:
        """What rotated queries and keys are multiplied with (microsoft/LongRoPE)."""
        return math.sqrt(1 + math.log(max(1, self.factor)) / math.log(self.original_context))
