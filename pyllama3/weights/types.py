"""Tensor types: how many values a block holds, in how many bytes, and how to widen it to float32.

A new type is one function, one id in `TensorType` and one line in `_LAYOUTS`. Sizes and formulas are those of ggml
(ggml-org/ggml, ggml-common.h; docs/gguf.md): all fields little-endian, `d` and `m` are IEEE halves.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def _halves(blocks: Bytes, start: int) -> Floats:
    """The half at byte `start` of every block, as a column (blocks, 1)."""
    halves: NDArray[np.float16] = blocks[:, start : start + 2].copy().view("<f2")
    return halves.astype(np.float32)


def _nibbles(quants: Bytes) -> Floats:
    """Low nibbles, then high nibbles: (blocks, 16) bytes to (blocks, 32) values 0..15."""
    return np.concatenate([quants & 15, quants >> 4], axis=1).astype(np.float32)


def _f32(blocks: Bytes) -> Floats:
    return blocks.view("<f4").astype(np.float32)


def _f16(blocks: Bytes) -> Floats:
    return blocks.view("<f2").astype(np.float32)


def _bf16(blocks: Bytes) -> Floats:
    """A bfloat16 is the upper half of a float32."""
    return (blocks.view("<u2").astype(np.uint32) << 16).view(np.float32)


def _q8_0(blocks: Bytes) -> Floats:
    """d * q: d, 32 signed bytes."""
    return _halves(blocks, 0) * blocks[:, 2:].view(np.int8)


def _q4_0(blocks: Bytes) -> Floats:
    """d * (q - 8): d, 16 bytes of nibbles."""
    return _halves(blocks, 0) * (_nibbles(blocks[:, 2:]) - 8)


def _q4_1(blocks: Bytes) -> Floats:
    """d * q + m: d, m, 16 bytes of nibbles."""
    return _halves(blocks, 0) * _nibbles(blocks[:, 4:]) + _halves(blocks, 2)


class TensorType(IntEnum):
    """The supported types by their ggml ids; `_LAYOUTS` has a line for each."""

    F32 = 0
    F16 = 1
    BF16 = 30
    Q8_0 = 8
    Q4_0 = 2
    Q4_1 = 3

    @property
    def block_size(self) -> int:
        """Values in a block."""
        return _LAYOUTS[self].block_size

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return _LAYOUTS[self].block_bytes


class _Layout(NamedTuple):
    block_size: int
    block_bytes: int
    widen: Callable[[Bytes], Floats]  # (blocks, block_bytes) to (blocks, block_size)


_LAYOUTS = {
    TensorType.F32: _Layout(1, 4, _f32),
    TensorType.F16: _Layout(1, 2, _f16),
    TensorType.BF16: _Layout(1, 2, _bf16),
    TensorType.Q8_0: _Layout(32, 34, _q8_0),
    TensorType.Q4_0: _Layout(32, 18, _q4_0),
    TensorType.Q4_1: _Layout(32, 20, _q4_1),
}


def dequantize(type: TensorType, data: Bytes, shape: tuple[int, ...]) -> Floats:
    """Widen the bytes of a tensor to a new float32 array of `shape`."""
    return _LAYOUTS[type].widen(data.reshape(-1, type.block_bytes)).reshape(shape)


_OTHER_TYPES = {
    6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K",
    16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
    24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
    40: "NVFP4",
}  # fmt: skip


def type_name(ggml_id: int) -> str:
    """Name of any ggml type id, supported or not, for messages."""
    try:
        return TensorType(ggml_id).name
    except ValueError:
        return _OTHER_TYPES.get(ggml_id, f"number {ggml_id}")
