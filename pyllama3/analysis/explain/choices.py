"""How a token was chosen: who survived each step of the sampler, and the random number that decided.

This is what src/sampler.fu does, written for looking at it: numpy computes all probabilities at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...generation.sampling import SamplerOptions
from ..metrics import log_softmax

SHOWN = 8
"""Candidates of a step that are kept for display."""


@dataclass(frozen=True)
class Candidate:
    """A token, and its probability among the survivors."""

    id: int
    probability: float


@dataclass(frozen=True)
class Step:
    """What a step of the sampler left."""

    name: str
    survivors: int
    best: list[Candidate]
    """The most probable, at most `SHOWN`."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A token, and how it was chosen."""

    id: int
    steps: list[Step]
    random: float | None
    """The number in [0, 1) that chose among the survivors of the last step; None if the best was taken."""
    begin: float
    """The token got the random numbers from `begin` to `end`: its probability, after those of all better tokens."""
    end: float


def explain_choice(
    logits: NDArray[np.float32],
    adjusted: NDArray[np.float32],
    recent: Sequence[int],
    options: SamplerOptions,
    random: float | None,
) -> Choice:
    """Follow the sampler.

    Args:
        logits: those of the model (V,).
        adjusted: with biases and the host's penalties (V,).
        recent: tokens that the repeat penalty is for.
        options: how to choose.
        random: the number that the sampler drew; None at temperature 0.
    """
    everyone = np.arange(len(logits))
    steps = [_step("the model", everyone, np.exp(log_softmax(logits)))]
    penalized = _penalize(adjusted, recent, options.repeat_penalty)
    if (penalized != logits).any():
        steps.append(_step("penalties", everyone, np.exp(log_softmax(penalized))))
    ranked = np.argsort(-penalized, kind="stable")  # equal ones by their ids
    if random is None:
        return Choice(id=int(ranked[0]), steps=steps, random=None, begin=0, end=1)
    weights = np.exp((penalized[ranked].astype(np.float64) - penalized[ranked[0]]) / options.temperature)
    count = len(ranked)
    if options.temperature != 1:
        steps.append(_step(f"temperature {options.temperature:g}", ranked, weights))
    if 0 < options.top_k < count:
        count = options.top_k
        steps.append(_step(f"top-k {options.top_k}", ranked[:count], weights[:count]))
    if options.top_p < 1:
        sums = np.cumsum(weights[:count])
        count = min(count, int(np.searchsorted(sums, options.top_p * sums[-1])) + 1)
        steps.append(_step(f"top-p {options.top_p:g}", ranked[:count], weights[:count]))
    if options.min_p > 0:
        count = int(np.count_nonzero(weights[:count] >= options.min_p * weights[0]))
        steps.append(_step(f"min-p {options.min_p:g}", ranked[:count], weights[:count]))
    sums = np.cumsum(weights[:count])
    rank = min(int(np.searchsorted(sums, random * sums[-1], side="right")), count - 1)
    begin = sums[rank - 1] if rank else 0.0
    return Choice(
        id=int(ranked[rank]),
        steps=steps,
        random=random,
        begin=float(begin / sums[-1]),
        end=float(sums[rank] / sums[-1]),
    )


def _penalize(logits: NDArray[np.float32], recent: Sequence[int], penalty: float) -> NDArray[np.float32]:
    """Return logits with the repeat penalty: Keskar et al., "CTRL", 2019."""
    penalized: NDArray[np.float32] = logits.copy()
    ids = sorted(set(recent))
    old = logits[ids].astype(np.float64)
    penalized[ids] = np.where(old > 0, old / penalty, old * penalty)
    return penalized


def _step(name: str, ids: NDArray[np.int64], weights: NDArray[np.float64]) -> Step:
    """Return a step with survivors whose probabilities are proportional to some weights."""
    best = np.argsort(-weights, kind="stable")[:SHOWN]
    total = weights.sum()
    return Step(name, len(ids), [Candidate(int(ids[i]), float(weights[i] / total)) for i in best])
