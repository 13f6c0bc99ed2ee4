"""What the layers compute for each token: what they would predict, where their heads look, what they add."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.model import EngineModel
from ...runtime.probe import fill, read, read_head
from ...runtime.state import State
from ..compare.subjects import ATTENTION, FEED_FORWARD
from ..metrics import Array, log_softmax
from ..reference import attention_scores, softmax

SHOWN = 5
"""Predictions of a layer."""


@dataclass(frozen=True)
class Insight:
    """Of L layers and T tokens."""

    predictions: list[list[list[tuple[int, float]]]]
    """The most probable tokens (L + 1, T, SHOWN), with probabilities, if the head came after the embedding or a layer.

    nostalgebraist, "interpreting GPT: the logit lens", 2020.
    """
    attention: Array
    """Probabilities (L, heads, T, T) with which a token (third axis) looks at another."""
    streams: dict[str, Array]
    """Length (L, T) of the residual stream in front of the branch "attention" or "feed-forward"."""
    added: dict[str, Array]
    """Length (L, T) of what the branch adds to it."""


def look_inside(model: EngineModel, ids: Sequence[int]) -> Insight:
    """Run tokens through a model, stage by stage."""
    config, rows = model.config, len(ids)
    state = State(model, context=rows, batch=rows)
    core = state.core
    fill(state, ids, range(rows))
    core.prepare(rows)
    core.embed(rows)
    predictions = [_predict(state, rows)]
    attention = []
    streams: dict[str, list[Array]] = {ATTENTION: [], FEED_FORWARD: []}
    added: dict[str, list[Array]] = {ATTENTION: [], FEED_FORWARD: []}

    def run(branch: str, call: Callable[[int, int], None], layer: int) -> None:
        streams[branch].append(_length(state, "RESIDUAL", rows))
        call(layer, rows)
        added[branch].append(_length(state, "UPDATE", rows))

    for layer in range(config.layers):
        run(ATTENTION, core.attention_branch, layer)
        query = read(state, "QUERY", rows, config.heads, config.head_dim)
        key = read(state, "KEY", rows, config.kv_heads, config.head_dim)
        attention.append(softmax(attention_scores(query, key, np.arange(rows))).transpose(1, 0, 2))
        run(FEED_FORWARD, core.feed_forward_branch, layer)
        predictions.append(_predict(state, rows))
    return Insight(
        predictions,
        np.stack(attention),
        {branch: np.stack(lengths) for branch, lengths in streams.items()},
        {branch: np.stack(lengths) for branch, lengths in added.items()},
    )


def _length(state: State, buffer: str, rows: int) -> Array:
    length: Array = np.linalg.norm(read(state, buffer, rows, state.model.config.dim), axis=1)
    return length


def _predict(state: State, rows: int) -> list[list[tuple[int, float]]]:
    """Return what the head makes of the residual stream, which it leaves as it is."""
    state.core.head(rows)
    return [_best(row) for row in read_head(state, "LOGITS", rows, state.model.config.vocab_size)]


def _best(logits: Array) -> list[tuple[int, float]]:
    best = np.argsort(-logits, kind="stable")[:SHOWN]
    probabilities = np.exp(log_softmax(logits)[best])
    return [(int(id), float(p)) for id, p in zip(best, probabilities, strict=True)]
