"""Vectors that stand for texts: the last hidden states of their tokens, pooled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import ContextError, OptionError
from .model import EngineModel
from .session import check_ids
from .state import BATCH, State

Pooling = Literal["mean", "last"]
"""The mean of all tokens, or the last one, which alone has seen all others."""

_POSITIONS = 8192
"""Positions of all sequences in the cache, unless one text is longer."""


def embed(
    model: EngineModel, texts: Sequence[Sequence[int]], *, context: int, pooling: Pooling, normalize: bool
) -> NDArray[np.float32]:
    """Return a vector for each text (len(texts), dim), of length 1 if normalized.

    Hidden states are those behind the last norm, which the output matrix is multiplied with.

    Raises:
        BackendError: there is not enough memory.
        ContextError: a text is longer than the context.
        OptionError: the pooling is unknown, a text has no tokens, or one of them is not in the vocabulary.
        WeightsError: hidden states are not finite numbers.
    """
    if pooling not in get_args(Pooling):
        raise OptionError(f"pooling is {pooling!r}; allowed: {', '.join(get_args(Pooling))}")
    for number, ids in enumerate(texts):
        if not ids:
            raise OptionError(f"text {number} has no tokens; there is nothing to embed")
        if len(check_ids(ids, model.config.vocab_size)) > context:
            raise ContextError(f"text {number} has {len(ids)} tokens; the context has {context}")
    vectors = np.zeros((len(texts), model.config.dim), np.float64)
    for number, states in _hidden_states(model, texts):
        if pooling == "mean":
            vectors[number] += states.sum(axis=0, dtype=np.float64) / len(texts[number])
        else:
            vectors[number] = states[-1]
    if normalize:
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return vectors.astype(np.float32)


def _hidden_states(model: EngineModel, texts: Sequence[Sequence[int]]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the hidden states (tokens, dim) of each text, in parts where it is longer than a batch.

    Texts share batches, each with a sequence of its own, which a later text takes over.
    """
    longest = max(map(len, texts), default=1)
    sequences = max(1, min(len(texts), BATCH, _POSITIONS // longest))
    state = State(model, context=longest, sequences=sequences)
    for rows in _batches([len(ids) for ids in texts], sequences):
        row = 0
        for number, part in rows:
            place = slice(row, row + len(part))
            state.tokens[place] = texts[number][part.start : part.stop]
            state.positions[place] = part
            state.sequence_ids[place] = number % sequences
            row += len(part)
        state.forward(row, 0)
        states = _normalize(state, row)
        if not np.isfinite(states).all():
            raise model.damage("hidden states are not finite numbers")
        row = 0
        for number, part in rows:
            yield number, states[row : row + len(part)]
            row += len(part)
    state.close()


def _normalize(state: State, rows: int) -> NDArray[np.float32]:
    """Return a view (rows, dim) of the residual stream behind the norm in front of the output matrix."""
    model, dim = state.model, state.model.config.dim
    normed, residual = state.array("NORMED"), state.array("RESIDUAL")
    for row in range(rows):
        model.engine.Kernels.rms_norm(normed, residual, row * dim, model.output_norm, dim, model.config.norm_eps)
    return state.buffer("NORMED")[: rows * dim].reshape(rows, dim)


def _batches(lengths: Sequence[int], sequences: int) -> Iterator[list[tuple[int, range]]]:
    """Cut texts into batches: numbers of texts, each with a range of its positions.

    A batch has at most `BATCH` rows, and at most so many texts as there are sequences.
    """
    batch: list[tuple[int, range]] = []
    room = BATCH
    for number, length in enumerate(lengths):
        position = 0
        while position < length:
            if room == 0 or len(batch) == sequences:
                yield batch
                batch, room = [], BATCH
            part = range(position, min(length, position + room))
            batch.append((number, part))
            room -= len(part)
            position = part.stop
    if batch:
        yield batch
