"""How well a model predicts a text, and how far its predictions are from those of another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError
from ..runtime.session import Session
from ..weights import Weights
from .dequantized import reference_model
from .metrics import divergences, log_softmax

Logits = NDArray[np.floating]


class Predictor(Protocol):
    """Something that predicts the tokens of a window."""

    def __call__(self, ids: Sequence[int], first: int) -> Logits:
        """Return the logits (len(ids) - 1 - first, V) after the tokens from position `first` on, but the last."""


class SessionPredictor:
    """An engine."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(self, ids: Sequence[int], first: int) -> Logits:
        """Return the logits after the tokens from position `first` on, but the last."""
        self._session.rewind(0)
        if first:
            self._session.feed(ids[:first])
        return self._session.feed(ids[first:-1], all_logits=True)


class ReferencePredictor:
    """The numpy reference."""

    def __init__(self, weights: Weights) -> None:
        self._model = reference_model(weights)

    def __call__(self, ids: Sequence[int], first: int) -> Logits:
        """Return the logits after the tokens from position `first` on, but the last."""
        cache = self._model.cache()
        x = self._model.embed(ids[:-1])
        for layer in range(self._model.config.layers):
            x = self._model.layer(layer, x, cache)
        return self._model.head(x[first:])


@dataclass(frozen=True)
class Windows:
    """How a text is cut: windows of `length` tokens, `step` apart, of which the last `scored` are predicted."""

    length: int
    step: int
    scored: int

    @classmethod
    def of(cls, length: int, stride: int | None = None) -> Windows:
        """Return how llama.cpp's tools/perplexity cuts: one window after the other, predicting the second half of each.

        These are the tokens after the positions length/2 to length-2. With a stride, windows are that many tokens apart
        instead, and as many of their tokens are predicted.

        Raises:
            OptionError: a number is out of range.
        """
        if length < 4:
            raise OptionError(f"a window has {length} tokens; allowed: 4 or more")
        if stride is None:
            return cls(length, length, length - 1 - length // 2)
        if not 1 <= stride < length:
            raise OptionError(f"stride is {stride}; allowed for windows of {length} tokens: 1 to {length - 1}")
        return cls(length, stride, stride)

    def count(self, tokens: int) -> int:
        """Return how many whole windows a text has."""
        return max(0, (tokens - self.length) // self.step + 1)


@dataclass(frozen=True, kw_only=True)
class Score:
    """The predictions of the windows so far."""

    windows: int
    tokens: int
    """How many were predicted."""
    nll: float
    """Mean negative logarithm of their probabilities, in nats."""
    error: float
    """Standard error of the mean."""
    kl: float | None = None
    """Mean Kullback-Leibler divergence from the predictions of the other model, in nats."""
    max_kl: float | None = None
    """The largest for a token."""
    same_top: float | None = None
    """Part of the predictions whose most probable token is the other model's."""

    @property
    def perplexity(self) -> float:
        """`exp(nll)`."""
        return math.exp(self.nll)


def measure(
    predict: Predictor, ids: Sequence[int], windows: Windows, *, bos: int | None = None, other: Predictor | None = None
) -> Iterator[Score]:
    """Predict a text window by window, and yield the score after each.

    Args:
        predict: what is measured.
        ids: the text.
        windows: how it is cut.
        bos: replaces the first token of each window.
        other: what the predictions are compared with.

    Raises:
        OptionError: the text has no whole window.
    """
    count = windows.count(len(ids))
    if count == 0:
        raise OptionError(f"the text has {len(ids)} tokens, less than one window of {windows.length}; -c sets another")
    first = windows.length - 1 - windows.scored
    nlls: list[float] = []
    kls: list[float] = []
    same = 0
    for index in range(count):
        window = list(ids[index * windows.step : index * windows.step + windows.length])
        if bos is not None:
            window[0] = bos
        logits = predict(window, first)
        nlls += (-log_softmax(logits)[np.arange(windows.scored), window[first + 1 :]]).tolist()
        if other is not None:
            expected = other(window, first)
            kls += divergences(logits, expected).tolist()
            same += int((logits.argmax(axis=1) == expected.argmax(axis=1)).sum())
        yield Score(
            windows=index + 1,
            tokens=len(nlls),
            nll=float(np.mean(nlls)),
            error=float(np.std(nlls) / math.sqrt(max(1, len(nlls) - 1))),
            kl=float(np.mean(kls)) if kls else None,
            max_kl=max(kls) if kls else None,
            same_top=same / len(nlls) if kls else None,
        )
