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
    TensorType.IQ3_S: [0],
    TensorType.IQ3_XXS: [0],
    TensorType.IQ2_S: [0],
    TensorType.IQ2_XS: [0],
    TensorType.IQ2_XXS: [0],
    TensorType.IQ1_M: [54],  # where the nibble with the exponent is
    TensorType.IQ1_S: [0],
    TensorType.TQ2_0: [64],
    TensorType.TQ1_0: [52],
}
"""Where the halves of a block are."""
_SPREAD_SCALE_AT = (49, 51, 53, 55)
"""Where IQ1_M has the nibbles of its scale, the lowest first, each above a nibble of something else."""

BLOCK_TYPES = tuple(type for type in TensorType if type.block_size > 1)


def any_blocks(type: TensorType, count: int, *, seed: int = 4) -> Bytes:
    """Return random bytes (count, block_bytes), whose halves are numbers below 2."""
    data = np.random.default_rng(seed).integers(0, 256, (count, type.block_bytes), np.uint8)
    for start in _SCALES_AT[type]:
        data[:, start + 1] &= 0xBF  # without the highest bit of the exponent
    return data


def set_scale(type: TensorType, blocks: Bytes, value: float) -> None:
    """Set all halves of blocks (count, block_bytes)."""
    half = np.float16(value).view(np.uint16)
    if type == TensorType.IQ1_M:
        for i, at in enumerate(_SPREAD_SCALE_AT):
            blocks[:, at] = blocks[:, at] & 15 | int(half) >> 4 * i << 4 & 0xF0
        return
    for start in _SCALES_AT[type]:
        blocks[:, start : start + 2] = np.array([half], "<u2").view(np.uint8)


def blocks_like(values: npt.NDArray[np.float32], type: TensorType) -> Bytes:
    """Return random blocks of a type without minimums that have the mean square of a matrix: (rows, bytes)."""
    data = any_blocks(type, values.size // type.block_size)
    set_scale(type, data, 1)
    size = np.sqrt(np.mean(np.square(expand(type, data))))
    set_scale(type, data, float(np.sqrt(np.mean(np.square(values))) / size))
    return data.reshape(len(values), -1)


def expand(type: TensorType, data: Bytes) -> npt.NDArray[np.float32]:
    """Return the numbers (..., blocks * block_size) of blocks (..., bytes) as the witness has them.

    That is the `gguf` package; a type that it does not know needs a formula here, apart from that of the package.
    """
    numbers: npt.NDArray[np.float32] = gguf.dequantize(data, ggml(type))
    return numbers


def ggml(type: TensorType) -> gguf.GGMLQuantizationType:
    """Return what the `gguf` package calls a type."""
    return gguf.GGMLQuantizationType[type.name]
