"""What the layers compute for each token: what they would predict, where their heads look, what they add."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...runtime.trace import Trace
from ..compare.subjects import ATTENTION, FEED_FORWARD
from ..metrics import log_softmax

SHOWN = 5
"""Predictions of a layer."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Insight:
    """Of L layers and T tokens."""

    predictions: list[list[list[tuple[int, float]]]]
    """Most probable tokens (L + 1, T, SHOWN), with probabilities, if the head came after the embedding or a layer."""
    attention: Array
    """Probabilities (L, heads, T, T) with which a token (third axis) looks at another."""
    streams: dict[str, Array]
    """Length (L, T) of the residual stream in front of the branch "attention" or "feed-forward"."""
    added: dict[str, Array]
    """Length (L, T) of what the branch adds to it."""


def look_inside(trace: Trace) -> Insight:
    """Return of a trace what is shown."""
    layers = range(len(trace.hidden) - 1)
    streams = {ATTENTION: trace.hidden[:-1], FEED_FORWARD: trace.hidden[:-1] + trace.attention_updates}
    added = {ATTENTION: trace.attention_updates, FEED_FORWARD: trace.feed_forward_updates}
    return Insight(
        [[_best(row) for row in trace.lens(count)] for count in range(len(trace.hidden))],
        np.stack([trace.attention(layer) for layer in layers]),
        {branch: np.linalg.norm(vectors, axis=2) for branch, vectors in streams.items()},
        {branch: np.linalg.norm(vectors, axis=2) for branch, vectors in added.items()},
    )


def _best(logits: Array) -> list[tuple[int, float]]:
    best = np.argsort(-logits, kind="stable")[:SHOWN]
    probabilities = np.exp(log_softmax(logits)[best])
    return [(int(id), float(p)) for id, p in zip(best, probabilities, strict=True)]
