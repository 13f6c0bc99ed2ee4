"""Random numbers of several kinds, and how far a quantizer leaves from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyllama3.weights import TensorType
from pyllama3.weights.convert.mixtures import MIXTURES

Floats = npt.NDArray[np.float32]

_BASES = {mixture.base for mixture in MIXTURES.values()}
QUANTIZED_TYPES = tuple(type for type in TensorType if type.block_size > 1 and type in _BASES)
"""Types that numbers can be quantized to."""
NUMBERS = ("normal", "heavy-tailed", "shifted", "runs of many sizes")
MEASURES = ("plain", "weighted")


def random_numbers(kind: str) -> Floats:
    """Return (64, 1024) numbers, the same ones every time."""
    random = np.random.RandomState(7)  # the generator whose stream never changes
    shape = (64, 1024)
    values = {
        "normal": lambda: random.normal(size=shape) * 0.02,
        "heavy-tailed": lambda: random.standard_t(4, size=shape) * 0.02,
        "shifted": lambda: random.normal(0.03, 0.02, size=shape),
        "runs of many sizes": lambda: (
            random.normal(size=shape) * np.repeat(np.exp(random.normal(size=(64, 64))), 16, axis=1)
        ),
    }[kind]()
    return values.astype(np.float32)


def squared_error(values: Floats, result: Floats, measure: str) -> float:
    """Return the sum of squared errors; "weighted" counts large numbers more, as llama.cpp's quantizers do."""
    exact = values.astype(np.float64)
    weights = np.ones_like(exact)
    if measure == "weighted":
        runs = exact.reshape(-1, 32)
        weights = (np.sqrt((runs**2).mean(axis=1, keepdims=True)) + np.abs(runs)).reshape(exact.shape)
    return float((weights * (result - exact) ** 2).sum())
