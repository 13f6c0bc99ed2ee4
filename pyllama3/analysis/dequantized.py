"""The reference over the weights of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..weights import Weights
from .reference import Array, ReferenceModel


class DequantizedTensors(Mapping[str, Array]):
    """The tensors of a model in float64, each widened when it is asked for."""

    def __init__(self, weights: Weights) -> None:
        self._tensors = weights.tensors

    def __getitem__(self, name: str) -> Array:
        return self._tensors[name].dequantize().astype(np.float64)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def reference_model(weights: Weights) -> ReferenceModel:
    """Return the reference over the weights of a model."""
    return ReferenceModel(weights.config, DequantizedTensors(weights))
