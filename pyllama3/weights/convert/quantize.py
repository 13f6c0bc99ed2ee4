"""Quantizers: float32 numbers to blocks of the types in `types.py`, whose docstrings tell what the fields mean.

F16 to Q5_1 give the bits of ggml's reference (ggml-quants.c, quantize_row_*_ref). The types with K or IQ in their
names leave the choice of scales to the quantizer: here each run tries some scales and solves for the best by weighted
least squares, where numbers count the more the larger they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..blocks import Bytes, Floats
from ..types import IQ4_VALUES, TensorType

_CHUNK = 1 << 16
"""Numbers that are quantized at a time, so that their intermediate results stay in the cache."""


def quantize(type: TensorType, values: Floats) -> Bytes:
    """Return the bytes of finite numbers, whose last dimension holds whole blocks."""
    blocks = np.ascontiguousarray(values, np.float32).reshape(-1, type.block_size)
    quantized = np.empty((len(blocks), type.block_bytes), np.uint8)
    step = _CHUNK // type.block_size
    for start in range(0, len(blocks), step):
        part = _QUANTIZERS[type](blocks[start : start + step])
        quantized[start : start + step] = part.view(np.uint8).reshape(-1, type.block_bytes)
    return quantized.reshape(-1)


_TINY = float(np.finfo(np.float32).tiny)
"""The smallest number whose inverse is finite."""


# Fields of blocks


def _half(column: NDArray[Any]) -> Bytes:
    """Bytes (blocks, 2) of one half a block."""
    return column.reshape(-1, 1).astype("<f2").view(np.uint8)


def _join(*fields: NDArray[Any]) -> Bytes:
    """Put the bytes of fields (blocks, ...) side by side."""
    return np.concatenate([field.reshape(len(field), -1).view(np.uint8) for field in fields], axis=1)


def _pack(quants: NDArray[Any], bits: int, group: int) -> Bytes:
    """Put numbers below 2^bits into bytes, the inverse of `blocks.fields`: (blocks, n) to (blocks, n * bits / 8)."""
    fields = quants.reshape(len(quants), -1, 8 // bits, group)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, None]
    packed: Bytes = np.bitwise_or.reduce(fields << shifts, axis=2)
    return packed.reshape(len(quants), -1)


def _bit_4(quants: Bytes) -> Bytes:
    """Bit 4 of 32 numbers in 4 bytes."""
    return np.packbits(quants >> 4, axis=1, bitorder="little")


# Rounding


def _round(x: Floats) -> Floats:
    """Round to nearest, ties away from 0, like C's roundf."""
    magnitude = np.abs(x)
    whole = np.floor(magnitude)
    rounded: Floats = np.copysign(whole + (magnitude - whole >= 0.5), x)
    return rounded


def _inverse(scale: Floats, smallest: float = 1e-30) -> Floats:
    """1 / scale; 0 for scales that are too small for any use, whose inverses might overflow."""
    return np.divide(1, scale, out=np.zeros_like(scale), where=np.abs(scale) >= smallest)


def _largest(x: Floats) -> Floats:
    """The number of the largest magnitude of each row, with its sign, as a column."""
    return np.take_along_axis(x, np.abs(x).argmax(axis=1, keepdims=True), axis=1)


def _rounded_to_half(scale: Floats) -> Floats:
    """What is left of scales stored as halves."""
    return scale.astype(np.float16).astype(np.float32)


# Types that ggml defines bit by bit


def _f32(x: Floats) -> NDArray[Any]:
    return x.astype("<f4")


def _f16(x: Floats) -> NDArray[Any]:
    return x.astype("<f2")


def _bf16(x: Floats) -> NDArray[Any]:
    """Round to nearest, ties to even."""
    bits = x.view(np.uint32)
    return (bits + (0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def _q8_0(x: Floats) -> Bytes:
    d = np.abs(x).max(axis=1, keepdims=True) / np.float32(127)
    return _join(_half(d), _round(x * _inverse(d, _TINY)).astype(np.int8))


def _symmetric(x: Floats, top: int) -> tuple[Floats, Bytes]:
    """Return d and numbers 0..2*top-1, of which 0 is the number of the largest magnitude."""
    d = _largest(x) / np.float32(-top)
    quants = x * _inverse(d, _TINY) + np.float32(top + 0.5)
    return d, np.minimum(quants.astype(np.uint8), np.uint8(2 * top - 1))


def _affine(x: Floats, top: int) -> tuple[Floats, Floats, Bytes]:
    """Return d, the minimum and numbers 0..top."""
    minimum = x.min(axis=1, keepdims=True)
    d = (x.max(axis=1, keepdims=True) - minimum) / np.float32(top)
    quants = (x - minimum) * _inverse(d, _TINY) + np.float32(0.5)
    return d, minimum, np.minimum(quants.astype(np.uint8), np.uint8(top))


def _q4_0(x: Floats) -> Bytes:
    d, quants = _symmetric(x, 8)
    return _join(_half(d), _pack(quants, 4, 16))


def _q4_1(x: Floats) -> Bytes:
    d, minimum, quants = _affine(x, 15)
    return _join(_half(d), _half(minimum), _pack(quants, 4, 16))


def _q5_0(x: Floats) -> Bytes:
    d, quants = _symmetric(x, 16)
    return _join(_half(d), _bit_4(quants), _pack(quants & 15, 4, 16))


def _q5_1(x: Floats) -> Bytes:
    d, minimum, quants = _affine(x, 31)
    return _join(_half(d), _half(minimum), _bit_4(quants), _pack(quants & 15, 4, 16))


# Scales by weighted least squares: x and weights are (runs, length), scales and minimums columns (runs, 1)


class _Levels:
    """The numbers that integers stand for, all within -128..127, and how to find the nearest."""

    def __init__(self, values: Floats, ends: Floats) -> None:
        """Take the values in ascending order, and on which the largest number of a run is put to try a scale."""
        # halfway between two levels is a multiple of 1/2, so that each of these cells has one nearest level
        centers = (np.arange(-256, 256) + 0.5) / 2
        self._indices = np.abs(centers[:, None] - values).argmin(axis=1).astype(np.uint8)
        self._values = values[self._indices]
        self.ends = ends

    def indices(self, x: Floats) -> Bytes:
        """Return the index of the nearest level."""
        return np.take(self._indices, self._cells(x))

    def nearest(self, x: Floats) -> Floats:
        """Return the nearest level."""
        return np.take(self._values, self._cells(x))

    @staticmethod
    def _cells(x: Floats) -> NDArray[np.int16]:
        cells: NDArray[np.int16] = np.clip(np.floor(x * 2), -256, 255).astype(np.int16) + np.int16(256)
        return cells


def _importance(x: Floats) -> Floats:
    """Weights of errors: large numbers matter more, but the small ones are many."""
    importance: Floats = np.sqrt(_dot(x, x) / np.float32(x.shape[1])) + np.abs(x)
    return importance


def _dot(a: Floats, b: Floats) -> Floats:
    """Sums of products along the rows, as a column."""
    sums: Floats = np.einsum("ij,ij->i", a, b)
    return sums[:, None]


def _fit_scale(x: Floats, levels: _Levels) -> Floats:
    """Return the scales with which levels come closest to x.

    For the levels nearest to x at some scale, the best scale is a quotient; the error it leaves is smallest where its
    gain over all 0 is largest.
    """
    weights, largest = _importance(x), _inverse(_largest(x))
    weighted = weights * x
    best, scale = np.zeros_like(largest), np.zeros_like(largest)

    def consider(inverse: Floats) -> None:
        chosen = levels.nearest(x * inverse)
        product = _dot(weighted, chosen)
        candidate = product * _inverse(_dot(weights * chosen, chosen))
        gain = product * candidate
        better = gain > best
        np.copyto(best, gain, where=better)
        np.copyto(scale, candidate, where=better)

    for end in levels.ends:
        consider(end * largest)
    consider(_inverse(scale))
    return scale


def _fit_affine(x: Floats, top: int, steps: Floats) -> tuple[Floats, Floats]:
    """Return scales and minimums, none negative, with which `scale * q - minimum` for q of 0..top comes closest to x.

    Tried are the scales that stretch the range of a run over `top` + one of `steps`.
    """
    weights, low = _importance(x), np.minimum(x.min(axis=1, keepdims=True), 0)
    stretch = _inverse(x.max(axis=1, keepdims=True) - low)
    weighted = weights * x
    sum_w, sum_x = weights.sum(axis=1, keepdims=True), weighted.sum(axis=1, keepdims=True)
    scale, minimum = np.zeros_like(low), np.maximum(-sum_x * _inverse(sum_w), 0)
    least = _dot(weights * (x + minimum), x + minimum)

    def consider(inverse: Floats, offset: Floats) -> None:
        q = np.clip(np.rint((x + offset) * inverse), 0, top)
        weighted_q = weights * q
        sum_q, sum_qq, sum_xq = weighted_q.sum(axis=1, keepdims=True), _dot(weighted_q, q), _dot(weighted, q)
        determinant = _inverse(sum_w * sum_qq - sum_q * sum_q)
        new_minimum = np.maximum((sum_q * sum_xq - sum_qq * sum_x) * determinant, 0)
        new_scale = np.maximum((sum_xq + new_minimum * sum_q) * _inverse(sum_qq), 0)
        rest = new_scale * q - new_minimum - x
        error = _dot(weights * rest, rest)
        better = error < least
        np.copyto(least, error, where=better)
        np.copyto(scale, new_scale, where=better)
        np.copyto(minimum, new_minimum, where=better)

    for step in steps:
        consider((top + step) * stretch, -low)
    consider(_inverse(scale), minimum)
    return scale, minimum


def _super_scale(scales: Floats, limit: int) -> tuple[Floats, Floats]:
    """Return the scale d (blocks, 1) of scales (blocks, runs) as a half, and these as integers.

    They lie in 0..limit, for a negative limit in limit..-limit-1.
    """
    d = _rounded_to_half(_largest(scales) / np.float32(limit))
    return d, np.clip(np.rint(scales * _inverse(d)), min(limit, 0), limit if limit > 0 else -limit - 1)


# Super-blocks of 256 numbers


def _quantize_levels(x: Floats, runs: int, levels: _Levels, limit: int) -> tuple[Floats, NDArray[np.int8], Bytes]:
    """Return d (blocks, 1), integer scales (blocks, runs) from limit to -limit - 1, indices of levels (blocks, 256)."""
    parts = x.reshape(len(x) * runs, -1)
    d, scales = _super_scale(_fit_scale(parts, levels).reshape(-1, runs), limit)
    indices = levels.indices(parts * _inverse(d * scales).reshape(-1, 1))
    return d, scales.astype(np.int8), indices.reshape(x.shape)


def _quantize_affine(
    x: Floats, runs: int, top: int, limit: int, steps: Floats
) -> tuple[Floats, Floats, Bytes, Bytes, Bytes]:
    """Return d, dmin (blocks, 1), integer scales and minimums (blocks, runs) of 0..limit, numbers (blocks, 256)."""
    parts = x.reshape(len(x) * runs, -1)
    scale, minimum = _fit_affine(parts, top, steps)
    d, scales = _super_scale(scale.reshape(-1, runs), limit)
    dmin, minimums = _super_scale(minimum.reshape(-1, runs), limit)
    shifted = parts + (dmin * minimums).reshape(-1, 1)
    quants = np.clip(np.rint(shifted * _inverse(d * scales).reshape(-1, 1)), 0, top).astype(np.uint8)
    return d, dmin, scales.astype(np.uint8), minimums.astype(np.uint8), quants.reshape(x.shape)


_Q3_LEVELS = _Levels(np.arange(-4, 4, dtype=np.float32), np.linspace(-5, -3, 9, dtype=np.float32))
_Q6_LEVELS = _Levels(np.arange(-32, 32, dtype=np.float32), np.linspace(-33, -31, 9, dtype=np.float32))
_IQ4_LEVELS = _Levels(IQ4_VALUES, np.linspace(-135, -119, 9, dtype=np.float32))
_STEPS = np.linspace(-1.2, 0.6, 7, dtype=np.float32)


def _q2_k(x: Floats) -> Bytes:
    d, dmin, scales, minimums, quants = _quantize_affine(x, 16, 3, 15, _STEPS)
    return _join(scales | minimums << 4, _pack(quants, 2, 32), _half(d), _half(dmin))


def _q3_k(x: Floats) -> Bytes:
    d, signed_scales, quants = _quantize_levels(x, 16, _Q3_LEVELS, -32)
    scales = (signed_scales + 32).astype(np.uint8)
    packed = _join(_pack(scales & 15, 4, 8), _pack(scales >> 4, 2, 4))
    return _join(_pack(quants >> 2, 1, 32), _pack(quants & 3, 2, 32), packed, _half(d))


def _packed_scales(scales: Bytes, minimums: Bytes) -> Bytes:
    """Pack 8 scales and 8 minimums of 6 bits into 12 bytes, see `types._scales_and_minimums`."""
    first = scales[:, :4] | scales[:, 4:] >> 4 << 6
    second = minimums[:, :4] | minimums[:, 4:] >> 4 << 6
    return _join(first, second, scales[:, 4:] & 15 | (minimums[:, 4:] & 15) << 4)


def _q4_k(x: Floats) -> Bytes:
    d, dmin, scales, minimums, quants = _quantize_affine(x, 8, 15, 63, _STEPS)
    return _join(_half(d), _half(dmin), _packed_scales(scales, minimums), _pack(quants, 4, 32))


def _q5_k(x: Floats) -> Bytes:
    d, dmin, scales, minimums, quants = _quantize_affine(x, 8, 31, 63, _STEPS)
    high, low = _pack(quants >> 4, 1, 32), _pack(quants & 15, 4, 32)
    return _join(_half(d), _half(dmin), _packed_scales(scales, minimums), high, low)


def _q6_k(x: Floats) -> Bytes:
    d, scales, quants = _quantize_levels(x, 16, _Q6_LEVELS, -128)
    return _join(_pack(quants & 15, 4, 64), _pack(quants >> 4, 2, 32), scales, _half(d))


def _iq4_nl(x: Floats) -> Bytes:
    d = _rounded_to_half(_fit_scale(x, _IQ4_LEVELS))
    return _join(_half(d), _pack(_IQ4_LEVELS.indices(x * _inverse(d)), 4, 16))


def _iq4_xs(x: Floats) -> Bytes:
    d, signed_scales, quants = _quantize_levels(x, 8, _IQ4_LEVELS, -32)
    scales = (signed_scales + 32).astype(np.uint8)
    return _join(_half(d), _pack(scales >> 4, 2, 1), _pack(scales & 15, 4, 1), _pack(quants, 4, 16))


_QUANTIZERS: dict[TensorType, Callable[[Floats], NDArray[Any]]] = {
    TensorType.F32: _f32,
    TensorType.F16: _f16,
    TensorType.BF16: _bf16,
    TensorType.Q8_0: _q8_0,
    TensorType.Q4_0: _q4_0,
    TensorType.Q4_1: _q4_1,
    TensorType.Q5_0: _q5_0,
    TensorType.Q5_1: _q5_1,
    TensorType.Q2_K: _q2_k,
    TensorType.Q3_K: _q3_k,
    TensorType.Q4_K: _q4_k,
    TensorType.Q5_K: _q5_k,
    TensorType.Q6_K: _q6_k,
    TensorType.IQ4_NL: _iq4_nl,
    TensorType.IQ4_XS: _iq4_xs,
}
