"""What a model computes inside: the residual stream, what the branches add, attention, and logits, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ContextError, OptionError
from .model import EngineModel
from .probe import fill
from .session import check_ids
from .state import BATCH, State

Array = NDArray[np.float32]


class Trace:
    """The insides of one pass over T tokens, with L layers, D numbers in the residual stream, H heads.

    Hidden states and updates are kept; attention and logits are computed from them when they are asked for.
    """

    def __init__(self, model: EngineModel, ids: Sequence[int], *, context: int) -> None:
        """Run tokens through a model, stage by stage.

        Raises:
            BackendError: there is not enough memory.
            ContextError: the tokens do not fit into the context.
            OptionError: there are no tokens, or one is not in the vocabulary.
        """
        ids = check_ids(ids, model.config.vocab_size)
        if len(ids) > context:
            raise ContextError(f"{len(ids)} tokens do not fit into the context of {context} tokens")
        config, count = model.config, len(ids)
        self.ids = tuple(ids)
        self._state = State(model, context=count, batch=min(count, BATCH))
        self.hidden: Array = np.empty((config.layers + 1, count, config.dim), np.float32)
        """The residual stream (L + 1, T, D) after the embedding, and after each layer."""
        self.attention_updates: Array = np.empty((config.layers, count, config.dim), np.float32)
        """What attention adds (L, T, D) to the residual stream."""
        self.feed_forward_updates: Array = np.empty_like(self.attention_updates)
        """What the feed-forward network adds (L, T, D) to it after that."""
        self.queries: Array = np.empty((config.layers, count, config.heads, config.head_dim), np.float32)
        """Rotated queries (L, T, H, head_dim)."""
        self.keys: Array = np.empty((config.layers, count, config.kv_heads, config.head_dim), np.float32)
        """Rotated keys (L, T, kv_heads, head_dim); H / kv_heads neighbouring heads share one."""
        for rows in self._batches():
            self._run(rows)

    def attention(self, layer: int, head: int | None = None) -> Array:
        """Return the probabilities with which each token looks at each other: (H, T, T), or of one head (T, T).

        Raises:
            OptionError: there is no such layer or head.
        """
        self._check("layer", layer, len(self.queries))
        heads = range(self.queries.shape[2]) if head is None else [head]
        for each in heads:
            self._check("head", each, self.queries.shape[2])
        shared = self.queries.shape[2] // self.keys.shape[2]
        maps = np.stack([_look(self.queries[layer, :, each], self.keys[layer, :, each // shared]) for each in heads])
        return maps if head is None else maps[0]

    @property
    def logits(self) -> Array:
        """What the model predicts (T, vocab_size) after each token."""
        return self.lens(len(self.hidden) - 1)

    def lens(self, layers: int) -> Array:
        """Return what it would predict (T, vocab_size) if the head came after so many layers, 0 for the embedding.

        nostalgebraist, "interpreting GPT: the logit lens", 2020.

        Raises:
            OptionError: there are not so many layers.
        """
        self._check("layers", layers, len(self.hidden))
        state, vocab_size = self._state, self._state.model.config.vocab_size
        logits = np.empty((len(self.ids), vocab_size), np.float32)
        for rows in self._batches():
            fill(state, self.ids, rows)
            self._buffer("RESIDUAL", rows)[:] = self.hidden[layers, rows.start : rows.stop]
            state.core.head(len(rows))
            logits[rows.start : rows.stop] = self._buffer("LOGITS", rows, vocab_size)[::-1]  # as `fill` asks for them
        return logits

    def _batches(self) -> list[range]:
        count = len(self.ids)
        return [range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]

    def _run(self, rows: range) -> None:
        core, count = self._state.core, len(rows)
        at = slice(rows.start, rows.stop)
        fill(self._state, self.ids, rows)
        core.prepare(count)
        core.embed(count)
        self.hidden[0, at] = self._buffer("RESIDUAL", rows)
        for layer in range(len(self.queries)):
            core.attention_branch(layer, count)
            self.attention_updates[layer, at] = self._buffer("UPDATE", rows)
            self.queries[layer, at] = self._buffer("QUERY", rows, *self.queries.shape[2:])
            self.keys[layer, at] = self._buffer("KEY", rows, *self.keys.shape[2:])
            core.feed_forward_branch(layer, count)
            self.feed_forward_updates[layer, at] = self._buffer("UPDATE", rows)
            self.hidden[layer + 1, at] = self._buffer("RESIDUAL", rows)

    def _buffer(self, name: str, rows: range, *shape: int) -> Array:
        """Return a view of the rows (rows, *shape) of a buffer; by default they are as long as the residual stream."""
        shape = (len(rows), *(shape or (self.hidden.shape[2],)))
        return self._state.buffer(name)[: int(np.prod(shape))].reshape(shape)

    @staticmethod
    def _check(name: str, value: int, count: int) -> None:
        if not 0 <= value < count:
            raise OptionError(f"{name} is {value}; allowed: 0 to {count - 1}")


def _look(queries: Array, keys: Array) -> Array:
    """Return softmax(q . K^T / sqrt(head_dim)) (T, T) of one head, 0 for tokens that come later."""
    scores = queries @ keys.T / np.float32(np.sqrt(queries.shape[1]))
    scores[np.triu_indices(len(scores), 1)] = -np.inf
    exponentials: Array = np.exp(scores - scores.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials
