"""How far results may be apart; docs/compare.md tells why."""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.model import EngineModel


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Largest squared error of a row relative to its square (NMSE)."""

    stage: float
    """Of the residual stream or the logits, with the errors of all stages before."""
    product: float
    """Of one product with a matrix, on equal inputs."""
    operation: float
    """Of any other operation on equal inputs."""

    def of(self, *, is_product: bool) -> float:
        """Return that of an operation."""
        return self.product if is_product else self.operation


EXACT = Tolerance(stage=1e-9, product=5e-11, operation=2e-12)
HALF_CACHE = Tolerance(stage=1e-4, product=5e-11, operation=2e-12)
EIGHT_BITS = Tolerance(stage=0.1, product=1e-3, operation=2e-12)


def tolerance_of(model: EngineModel) -> Tolerance:
    """Return the tolerance for how a model computes."""
    if model.exact:
        return EXACT
    return EIGHT_BITS if model.quantizes else HALF_CACHE
