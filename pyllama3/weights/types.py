"""Tensor types: how many values a block holds, in how many bytes, and how to widen it to float32.

A new type is one function, one id in `TensorType` and one line in `_LAYOUTS`. Sizes and formulas are those of ggml
(ggml-org/ggml, ggml-common.h; docs/gguf.md): all fields little-endian, `d` and `m` are IEEE halves.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from .blocks import Bytes, Floats, fields, halves, scaled


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
    return halves(blocks, 0) * blocks[:, 2:].view(np.int8)


def _q4_0(blocks: Bytes) -> Floats:
    """d * (q - 8): d, 16 bytes of nibbles."""
    return halves(blocks, 0) * (_nibbles(blocks[:, 2:]) - 8)


def _q4_1(blocks: Bytes) -> Floats:
    """d * q + m: d, m, 16 bytes of nibbles."""
    return halves(blocks, 0) * _nibbles(blocks[:, 4:]) + halves(blocks, 2)


def _bit_4(blocks: Bytes, start: int) -> Floats:
    """Bit 4 of 32 numbers, worth 16, from the 32 bits at byte `start`: (blocks, 32) values 0 or 16."""
    bits = np.unpackbits(blocks[:, start : start + 4], axis=1, bitorder="little")
    return bits.astype(np.float32) * 16


def _q5_0(blocks: Bytes) -> Floats:
    """d * (q - 16): d, 32 bits, 16 bytes of nibbles."""
    return halves(blocks, 0) * (_nibbles(blocks[:, 6:]) + _bit_4(blocks, 2) - 16)


def _q5_1(blocks: Bytes) -> Floats:
    """d * q + m: d, m, 32 bits, 16 bytes of nibbles."""
    return halves(blocks, 0) * (_nibbles(blocks[:, 8:]) + _bit_4(blocks, 4)) + halves(blocks, 2)


IQ4_VALUES = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
"""What the 4-bit indices of IQ4_NL and IQ4_XS stand for (ggml-common.h, kvalues_iq4nl)."""


def _iq4_nl(blocks: Bytes) -> Floats:
    """d * IQ4_VALUES[q]: d, 16 bytes of nibbles."""
    quants = blocks[:, 2:]
    values: Floats = IQ4_VALUES[np.concatenate([quants & 15, quants >> 4], axis=1)]
    return halves(blocks, 0) * values


# Types with "K" in their names and IQ4_XS have super-blocks of 256 numbers, cut into runs with scales of their own.


def _scales_and_minimums(packed: Bytes) -> tuple[Bytes, Bytes]:
    """Unpack the 12 bytes of 8 scales and 8 minimums, 6 bits each, of Q4_K and Q5_K.

    The first four of each are the low 6 bits of 8 bytes, whose upper bits are those of the last four; the low bits of
    these are nibbles of the last 4 bytes.
    """
    first, second, last = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([first & 63, last & 15 | first >> 6 << 4], axis=1)
    minimums = np.concatenate([second & 63, last >> 4 | second >> 6 << 4], axis=1)
    return scales, minimums


def _q2_k(blocks: Bytes) -> Floats:
    """d * scale * q - dmin * minimum, runs of 16: 16 bytes minimum|scale, 64 bytes of 2 bits, d, dmin."""
    scales, quants = blocks[:, :16], fields(blocks[:, 16:80], 2, 32)
    offsets = scaled(halves(blocks, 82) * (scales >> 4), np.ones_like(quants))
    return scaled(halves(blocks, 80) * (scales & 15), quants) - offsets


def _q3_k(blocks: Bytes) -> Floats:
    """d * (scale - 32) * (q - 4), runs of 16: 32 bytes of bit 2 of q, 64 bytes of 2 bits, 12 of scales, d."""
    high, quants, packed = fields(blocks[:, :32], 1, 32), fields(blocks[:, 32:96], 2, 32), blocks[:, 96:108]
    scales = fields(packed[:, :8], 4, 8) | fields(packed[:, 8:], 2, 4) << 4
    return scaled(halves(blocks, 108) * (scales.astype(np.float32) - 32), (quants | high << 2).astype(np.float32) - 4)


def _q4_k(blocks: Bytes) -> Floats:
    """d * scale * q - dmin * minimum, runs of 32: d, dmin, 12 bytes of scales and minimums, 128 of nibbles."""
    return _with_minimums(blocks, fields(blocks[:, 16:], 4, 32))


def _q5_k(blocks: Bytes) -> Floats:
    """Q4_K with 32 bytes of bit 4 of q in front of the nibbles."""
    return _with_minimums(blocks, fields(blocks[:, 48:], 4, 32) | fields(blocks[:, 16:48], 1, 32) << np.uint8(4))


def _with_minimums(blocks: Bytes, quants: Bytes) -> Floats:
    scales, minimums = _scales_and_minimums(blocks[:, 4:16])
    offsets = scaled(halves(blocks, 2) * minimums, np.ones_like(quants))
    return scaled(halves(blocks, 0) * scales, quants) - offsets


def _q6_k(blocks: Bytes) -> Floats:
    """d * scale * (q - 32), runs of 16: 128 bytes of nibbles, 64 of the upper 2 bits, 16 signed scales, d."""
    quants = fields(blocks[:, :128], 4, 64) | fields(blocks[:, 128:192], 2, 32) << 4
    return scaled(halves(blocks, 208) * blocks[:, 192:208].view(np.int8), quants.astype(np.float32) - 32)


def _iq4_xs(blocks: Bytes) -> Floats:
    """d * (scale - 32) * IQ4_VALUES[q], runs of 32: d, 16 upper and 32 lower bits of scales, 128 bytes of nibbles."""
    scales = fields(blocks[:, 4:8], 4, 1) | fields(blocks[:, 2:4], 2, 1) << 4
    values = IQ4_VALUES[fields(blocks[:, 8:], 4, 16)]
    return scaled(halves(blocks, 0) * (scales.astype(np.float32) - 32), values)


class TensorType(IntEnum):
    """The supported types by their ggml ids; `_LAYOUTS` has a line for each."""

    F32 = 0
    F16 = 1
    BF16 = 30
    Q8_0 = 8
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q2_K = 10
    Q3_K = 11
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    IQ4_NL = 20
    IQ4_XS = 23
    IQ3_S = 21
    IQ3_XXS = 18
    IQ2_S = 22
    IQ2_XS = 17
    IQ2_XXS = 16
    IQ1_M = 29
    IQ1_S = 19
    TQ2_0 = 35
    TQ1_0 = 34

    @property
    def block_size(self) -> int:
        """Values in a block."""
        return _LAYOUTS[self].block_size

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return _LAYOUTS[self].block_bytes


def _low_bits(name: str) -> Callable[[Bytes], Floats]:
    """The function of `low_bits`, which few models need, and which is imported when it is called."""

    def widen(blocks: Bytes) -> Floats:
        values: Floats = getattr(importlib.import_module(".low_bits", __package__), name)(blocks)
        return values

    return widen


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
    TensorType.Q5_0: _Layout(32, 22, _q5_0),
    TensorType.Q5_1: _Layout(32, 24, _q5_1),
    TensorType.Q2_K: _Layout(256, 84, _q2_k),
    TensorType.Q3_K: _Layout(256, 110, _q3_k),
    TensorType.Q4_K: _Layout(256, 144, _q4_k),
    TensorType.Q5_K: _Layout(256, 176, _q5_k),
    TensorType.Q6_K: _Layout(256, 210, _q6_k),
    TensorType.IQ4_NL: _Layout(32, 18, _iq4_nl),
    TensorType.IQ4_XS: _Layout(256, 136, _iq4_xs),
    TensorType.IQ3_S: _Layout(256, 110, _low_bits("iq3_s")),
    TensorType.IQ3_XXS: _Layout(256, 98, _low_bits("iq3_xxs")),
    TensorType.IQ2_S: _Layout(256, 82, _low_bits("iq2_s")),
    TensorType.IQ2_XS: _Layout(256, 74, _low_bits("iq2_xs")),
    TensorType.IQ2_XXS: _Layout(256, 66, _low_bits("iq2_xxs")),
    TensorType.IQ1_M: _Layout(256, 56, _low_bits("iq1_m")),
    TensorType.IQ1_S: _Layout(256, 50, _low_bits("iq1_s")),
    TensorType.TQ2_0: _Layout(256, 66, _low_bits("tq2_0")),
    TensorType.TQ1_0: _Layout(256, 54, _low_bits("tq1_0")),
}


def dequantize(type: TensorType, data: Bytes, shape: tuple[int, ...]) -> Floats:
    """Widen the bytes of a tensor to a new float32 array of `shape`."""
    return _LAYOUTS[type].widen(data.reshape(-1, type.block_bytes)).reshape(shape)


_OTHER_TYPES = {
    9: "Q8_1", 15: "Q8_K", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 39: "MXFP4", 40: "NVFP4",
}  # fmt: skip


def type_name(ggml_id: int) -> str:
    """Name of any ggml type id, supported or not, for messages."""
    try:
        return TensorType(ggml_id).name
    except ValueError:
        return _OTHER_TYPES.get(ggml_id, f"number {ggml_id}")
