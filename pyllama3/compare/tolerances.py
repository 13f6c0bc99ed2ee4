"""How far results may be apart; docs/compare.md tells why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Largest squared error of a row relative to its square (NMSE)."""

    stage: float
    """Of the residual stream or the logits, with the errors of all stages before."""
    operation: float
    """Of one operation on equal inputs."""


EXACT = Tolerance(stage=1e-9, operation=1e-11)
FAST = Tolerance(stage=0.1, operation=0.05)
