"""How far results are apart: of stages and operations in all their numbers, of logits in what they predict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_TINY = 1e-60
"""Added to squares that are divided by: rows of zeros are equal to rows of zeros."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far the rows of an array are from what is expected."""

    max_error: float
    """Largest absolute error of a number."""
    nmse: float
    """Squared error relative to the square of what is expected, of all rows together."""
    cosine: float
    """Of the angle between both, all rows together; 1 is equal."""
    worst_row: int
    """Row with the largest squared error relative to its own square."""
    worst_nmse: float
    """NMSE of that row, which tolerances are for."""


def difference(actual: Array, expected: Array) -> Difference:
    """Compare arrays (rows, columns)."""
    a, e = actual.astype(np.float64), expected.astype(np.float64)
    error = np.nan_to_num(a - e, nan=np.inf)
    squares = (e * e).sum(axis=1)
    row_nmse = (error * error).sum(axis=1) / (squares + _TINY)
    worst = int(row_nmse.argmax())
    length = np.sqrt((a * a).sum() * squares.sum())
    return Difference(
        max_error=float(np.abs(error).max()),
        nmse=float((error * error).sum() / (squares.sum() + _TINY)),
        cosine=float((a * e).sum() / length) if length > 0 else 1.0,
        worst_row=worst,
        worst_nmse=float(row_nmse[worst]),
    )


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far the predictions after each token agree."""

    positions: int
    top1: int
    """Positions with the same most probable token."""
    top10: float
    """Mean part of the ten most probable tokens that both have."""
    kl: float
    """Mean Kullback-Leibler divergence from the expected probabilities, in nats."""
    max_kl: float
    """The largest at a position."""


def log_softmax(logits: npt.NDArray[np.floating]) -> Array:
    """Return the natural logarithms of the probabilities that logits (..., V) give."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def divergences(actual: npt.NDArray[np.floating], expected: npt.NDArray[np.floating]) -> Array:
    """Return the Kullback-Leibler divergence (T,), in nats, of what logits (T, V) predict from what is expected."""
    log_p, log_q = log_softmax(expected), log_softmax(actual)
    result: Array = (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)
    return result


def agreement(actual: Array, expected: Array) -> Agreement:
    """Compare logits (T, V)."""
    best = min(10, expected.shape[1])
    ours, theirs = (np.argsort(-logits, axis=1, kind="stable")[:, :best] for logits in (actual, expected))
    shared = [len(set(a) & set(b)) / best for a, b in zip(ours.tolist(), theirs.tolist(), strict=True)]
    kl = divergences(actual, expected)
    return Agreement(
        positions=len(expected),
        top1=int((ours[:, 0] == theirs[:, 0]).sum()),
        top10=float(np.mean(shared)),
        kl=float(kl.mean()),
        max_kl=float(kl.max()),
    )
