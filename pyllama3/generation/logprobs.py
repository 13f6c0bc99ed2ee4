"""Logprobs of tokens, computed when somebody reads them, without keeping the logits of a long text."""

from __future__ import annotations

import weakref
from collections import deque
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_LATEST = 2
"""Tokens whose logits are kept: the one that a reader has in hand while the next is computed, and that next one."""


class Logprobs:
    """Logprobs of a token, and of the most probable ones."""

    def __init__(self, logits: NDArray[np.float32], id: int, count: int) -> None:
        self._logits: NDArray[np.float32] | None = logits
        self._id = id
        self._count = count

    @property
    def chosen(self) -> float:
        """Logprob of the token."""
        return self._values[0]

    @property
    def best(self) -> list[tuple[int, float]]:
        """Ids and logprobs of the most probable tokens; of equal ones the lowest id first."""
        return self._values[1]

    def settle(self) -> None:
        """Compute what has not been read, and let the logits go."""
        _ = self._values
        self._logits = None

    @cached_property
    def _values(self) -> tuple[float, list[tuple[int, float]]]:
        logits = self._logits
        assert logits is not None
        best = logits.max()
        log_sum = best + np.log(np.exp(logits - best).sum(dtype=np.float64))
        ids = _find_best(logits, self._count) if self._count else []
        return float(logits[self._id] - log_sum), [(id, float(logits[id] - log_sum)) for id in ids]


class Unread:
    """The logprobs of the latest tokens; those of older ones are settled, if somebody still has them."""

    def __init__(self) -> None:
        self._latest: deque[weakref.ref[Logprobs]] = deque()

    def add(self, logits: NDArray[np.float32], id: int, count: int) -> Logprobs:
        """Return the logprobs of the next token."""
        if len(self._latest) == _LATEST:
            older = self._latest.popleft()()
            if older is not None:
                older.settle()
        logprobs = Logprobs(logits, id, count)
        self._latest.append(weakref.ref(logprobs))
        return logprobs


def _find_best(logits: NDArray[np.float32], count: int) -> list[int]:
    least = np.partition(logits, -count)[-count]
    candidates = np.flatnonzero(logits >= least)
    order = np.argsort(-logits[candidates], kind="stable")
    return [int(id) for id in candidates[order[:count]]]
