"""Sampling in numpy and float64: the independent witness of the engine's sampler.

The order is penalty, temperature, top-k, top-p, min-p. Each filter takes probabilities (V,), keeps some of them and
returns these renormalised and the others as 0. Equal probabilities rank by ascending id.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pyllama3.analysis.reference import Array, softmax


def penalize(logits: Array, window: Iterable[int], penalty: float) -> Array:
    """Return logits (V,) made less likely for the distinct ids of the window (CTRL: arXiv 1909.05858, section 4.1).

    A logit above 0 is divided by the penalty, any other multiplied: dividing a negative one would raise it.
    """
    ids = sorted(set(window))
    penalized = logits.copy()
    penalized[ids] = np.where(logits[ids] > 0, logits[ids] / penalty, logits[ids] * penalty)
    return penalized


def ranking(probabilities: Array) -> npt.NDArray[np.int64]:
    """Return the ids (V,) by descending probability."""
    return np.argsort(-probabilities, kind="stable")


def top_k(probabilities: Array, k: int) -> Array:
    """Keep the k most probable ids; 0 keeps all."""
    return _survivors(probabilities, ranking(probabilities)[: k or None])


def top_p(probabilities: Array, p: float) -> Array:
    """Keep the shortest run of the most probable ids whose probabilities add up to p (arXiv 1904.09751)."""
    ids = ranking(probabilities)
    reached = int(np.searchsorted(np.cumsum(probabilities[ids]), p))
    return _survivors(probabilities, ids[: reached + 1])


def min_p(probabilities: Array, fraction: float) -> Array:
    """Keep the ids at least `fraction` times as probable as the most probable one (arXiv 2407.01082)."""
    return _survivors(probabilities, np.flatnonzero(probabilities >= fraction * probabilities.max()))


def distribution(
    logits: Array,
    *,
    temperature: float,
    k: int = 0,
    p: float = 1.0,
    minimum: float = 0.0,
    penalty: float = 1.0,
    window: Iterable[int] = (),
) -> Array:
    """Return the probability (V,) of each next id under all stages; temperature is above 0."""
    probabilities = softmax(penalize(logits, window, penalty) / temperature)
    return min_p(top_p(top_k(probabilities, k), p), minimum)


def draw(probabilities: Array, uniform: float) -> int:
    """Return the id at which the probabilities, added up from the largest down, exceed `uniform` in [0, 1)."""
    ids = ranking(probabilities)[: np.count_nonzero(probabilities)]
    index = np.searchsorted(np.cumsum(probabilities[ids]), uniform, side="right")
    return int(ids[min(int(index), len(ids) - 1)])  # the sum of all may round to less than 1


def _survivors(probabilities: Array, ids: npt.NDArray[np.int64]) -> Array:
    survivors = np.zeros_like(probabilities)
    survivors[ids] = probabilities[ids]
    return survivors / survivors.sum()


class Xorshift128:
    """The generator `xor128` of Marsaglia, "Xorshift RNGs", 2003: four words of 32 bits."""

    def __init__(self, x: int, y: int, z: int, w: int) -> None:
        self.state = (x, y, z, w)

    @classmethod
    def seeded(cls, seed: int) -> Xorshift128:
        """Return the generator of a 64-bit seed, its first 16 words discarded."""
        word = seed & 0xFFFFFFFF
        words = []
        for _ in range(4):
            word = (word * 1664525 + 1013904223) & 0xFFFFFFFF
            words.append(word)
        words[1] ^= seed >> 32  # not all words are 0, which would stay 0: no two congruential outputs in a row are
        generator = cls(*words)
        for _ in range(16):
            generator.next_word()
        return generator

    def next_word(self) -> int:
        """Return the next 32 bits."""
        x, y, z, w = self.state
        t = x ^ (x << 11 & 0xFFFFFFFF)
        self.state = (y, z, w, (w ^ (w >> 19)) ^ (t ^ (t >> 8)))
        return self.state[3]

    def uniform(self) -> float:
        """Return the next number of [0, 1), a multiple of 2**-24."""
        return (self.next_word() >> 8) / (1 << 24)
