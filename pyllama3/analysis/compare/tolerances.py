"""How far results may be apart; docs/compare.md tells why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...runtime.model import EngineModel

Kind = Literal["plain", "product", "cached"]
"""Kinds of operations: products with a matrix, those that read the cache, and all others."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Largest squared error of a row relative to its square (NMSE)."""

    stage: float
    """Of the residual stream or the logits, with the errors of all stages before."""
    product: float = 5e-11
    """Of one product with a matrix, on equal inputs."""
    cached: float = 2e-12
    """Of attention's scores and sums of values, on equal inputs."""
    plain: float = 2e-12
    """Of any other operation on equal inputs."""

    def of(self, kind: Kind) -> float:
        """Return that of an operation."""
        return {"plain": self.plain, "product": self.product, "cached": self.cached}[kind]


EXACT = Tolerance(stage=1e-9)
_ACTIVATIONS = {
    8: Tolerance(stage=0.1, product=1e-3),
    16: Tolerance(stage=1e-6, product=1e-8),
    32: EXACT,
}
"""By the bits of the numbers that matrices are multiplied with."""
_CACHES = {"f32": EXACT, "f16": Tolerance(stage=5e-4), "int8": Tolerance(stage=0.3, cached=1e-4)}
"""By what keys and values are stored as."""


def tolerance_of(model: EngineModel) -> Tolerance:
    """Return the tolerance for how a model computes: the widest of all that its precision asks for."""
    reasons = [_CACHES[model.cache_type], _ACTIVATIONS[model.activation_bits]]
    return Tolerance(
        stage=max(reason.stage for reason in reasons),
        product=max(reason.product for reason in reasons),
        cached=max(reason.cached for reason in reasons),
    )
