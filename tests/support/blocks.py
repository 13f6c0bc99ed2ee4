"""Blocks of quantized types with any bits but finite scales."""

from __future__ import annotations

import gguf
import numpy as np
import numpy.typing as npt

from pyllama3.weights import TensorType

Bytes = npt.NDArray[np.uint8]

_SCALES_AT = {
    TensorType.Q8_0: [0],
    TensorType.Q4_0: [0],
    TensorType.Q4_1: [0, 2],
    TensorType.Q5_0: [0],
    TensorType.Q5_1: [0, 2],
    TensorType.Q2_K: [80, 82],
    TensorType.Q3_K: [108],
    TensorType.Q4_K: [0, 2],
    TensorType.Q5_K: [0, 2],
    TensorType.Q6_K: [208],
    TensorType.IQ4_NL: [0],
    TensorType.IQ4_XS: [0],
}
"""Where the halves of a block are."""

BLOCK_TYPES = tuple(type for type in TensorType if type.block_size > 1)


def any_blocks(type: TensorType, count: int, *, seed: int = 4) -> Bytes:
    """Return random bytes (count, block_bytes), whose halves are numbers below 2."""
    data = np.random.default_rng(seed).integers(0, 256, (count, type.block_bytes), np.uint8)
    for start in _SCALES_AT[type]:
        data[:, start + 1] &= 0xBF  # without the highest bit of the exponent
    return data


def ggml(type: TensorType) -> gguf.GGMLQuantizationType:
    """Return what the `gguf` package calls a type."""
    return gguf.GGMLQuantizationType[type.name]
