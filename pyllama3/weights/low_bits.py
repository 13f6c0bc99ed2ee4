"""The types of one to three bits: super-blocks of 256 numbers, cut into runs of 16 or 32 with scales of their own.

Sizes and formulas are those of ggml (ggml-org/ggml, ggml-common.h, ggml-quants.c). Each function widens (blocks, bytes)
to (blocks, 256).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blocks import Bytes, Floats, fields, halves, scaled
from .codebooks import codebook

_QUARTER, _EIGHTH = np.float32(0.25), np.float32(0.125)
_EVERY_SEVENTH = np.arange(0, 28, 7, dtype=np.uint32)


def _numbers(blocks: Bytes, start: int, end: int, dtype: str) -> NDArray[Any]:
    """Little-endian numbers from some bytes of every block."""
    numbers: NDArray[Any] = blocks[:, start:end].copy().view(dtype)
    return numbers


def _odd(scales: NDArray[Any]) -> Floats:
    """2 * scale + 1."""
    return scales.astype(np.float32) * 2 + 1


def _vectors(name: str, entries: NDArray[Any]) -> Floats:
    """The coordinates of entries: (blocks, entries) to (blocks, 256)."""
    vectors: Floats = codebook(name)[entries]
    return vectors.reshape(len(entries), 256)


def _signs(bits: NDArray[Any]) -> Floats:
    """Signs from (blocks, 32) bytes, whose lowest bits come first; a 1 is minus."""
    return 1 - 2 * np.unpackbits(bits.astype(np.uint8), axis=1, bitorder="little").astype(np.float32)


def _even_signs(bits: NDArray[Any]) -> Floats:
    """Signs from (blocks, 32) numbers of 7 bits: every eighth sign makes the number of minuses even."""
    parity = np.bitwise_xor.reduce(bits[..., None] >> np.arange(7, dtype=bits.dtype) & 1, axis=-1)
    return _signs(bits | parity << 7)


def _words(blocks: Bytes, words: NDArray[np.uint32]) -> tuple[Floats, Floats]:
    """Scales (blocks, 8) and signs (blocks, 256) of IQ2_XXS and IQ3_XXS: words of four times 7 signs, and a scale."""
    signs = (words[..., None] >> _EVERY_SEVENTH & 127).reshape(len(blocks), 32)
    return halves(blocks, 0) * _odd(words >> 28), _even_signs(signs)


def iq2_xxs(blocks: Bytes) -> Floats:
    """d / 8 * (2 * scale + 1) * sign * coordinate, runs of 32: d, then for each run 4 bytes of entries and a word."""
    scales, signs = _words(blocks, _numbers(blocks, 2, 66, "<u4")[:, 1::2])
    entries = blocks[:, 2:].reshape(-1, 8, 8)[:, :, :4].reshape(-1, 32)
    return scaled(scales * _EIGHTH, _vectors("IQ2_XXS", entries) * signs)


def iq2_xs(blocks: Bytes) -> Floats:
    """IQ2_XXS in runs of 16: d, 32 times 9 bits of entry and 7 of signs, 8 bytes of scales."""
    packed = _numbers(blocks, 2, 66, "<u2")
    scales = halves(blocks, 0) * _EIGHTH * _odd(fields(blocks[:, 66:], 4, 1))
    return scaled(scales, _vectors("IQ2_XS", packed & 511) * _even_signs(packed >> 9))


def iq2_s(blocks: Bytes) -> Floats:
    """IQ2_XS with all signs: d, 32 bytes of entries, 32 of signs, 8 of upper 2 bits of entries, 8 of scales."""
    entries = blocks[:, 2:34] | fields(blocks[:, 66:74], 2, 1).astype(np.uint16) << 8
    scales = halves(blocks, 0) * _EIGHTH * _odd(fields(blocks[:, 74:], 4, 1))
    return scaled(scales, _vectors("IQ2_S", entries) * _signs(blocks[:, 34:66]))


def iq3_xxs(blocks: Bytes) -> Floats:
    """d / 4 * (2 * scale + 1) * sign * coordinate, runs of 32: d, 64 bytes of entries, 8 words."""
    scales, signs = _words(blocks, _numbers(blocks, 66, 98, "<u4"))
    return scaled(scales * _QUARTER, _vectors("IQ3_XXS", blocks[:, 2:66]) * signs)


def iq3_s(blocks: Bytes) -> Floats:
    """d * (2 * scale + 1) * sign * coordinate, runs of 32.

    d, 64 bytes of entries, 8 of their upper bits, 32 of signs, 4 of scales.
    """
    entries = blocks[:, 2:66] | fields(blocks[:, 66:74], 1, 1).astype(np.uint16) << 8
    scales = halves(blocks, 0) * _odd(fields(blocks[:, 106:], 4, 1))
    return scaled(scales, _vectors("IQ3_S", entries) * _signs(blocks[:, 74:106]))


def _moved(entries: NDArray[Any], is_down: NDArray[Any]) -> Floats:
    """Coordinates of IQ1_S and IQ1_M, which 1/8 is added to or subtracted from: a flag for each entry."""
    moves: Floats = np.where(is_down, -_EIGHTH, _EIGHTH).repeat(8, axis=1)
    return _vectors("IQ1_S", entries) + moves


def iq1_s(blocks: Bytes) -> Floats:
    """d * (2 * scale + 1) * (coordinate +- 1/8), runs of 32.

    d, 32 bytes of entries, for each run four times 3 upper bits of entries, 3 bits of scale and a sign.
    """
    packed = _numbers(blocks, 34, 50, "<u2")
    upper = (packed[..., None] >> np.arange(0, 12, 3, dtype=np.uint16) & 7).reshape(-1, 32)
    scales = halves(blocks, 0) * _odd(packed >> 12 & 7)
    return scaled(scales, _moved(blocks[:, 2:34] | upper << 8, (packed >> 15).repeat(4, axis=1)))


def iq1_m(blocks: Bytes) -> Floats:
    """IQ1_S in runs of 16.

    32 bytes of entries, 32 nibbles of upper bits of entries and a sign, 4 words of four scales and a nibble of d.
    """
    upper = fields(blocks[:, 32:48], 4, 1).astype(np.uint16)
    words = _numbers(blocks, 48, 56, "<u2")
    d = np.bitwise_or.reduce(words >> 12 << np.arange(0, 16, 4, dtype=np.uint16), axis=1, keepdims=True)
    scales = _odd((words[..., None] >> np.arange(0, 12, 3, dtype=np.uint16) & 7).reshape(-1, 16))
    return scaled(d.view(np.float16).astype(np.float32) * scales, _moved(blocks[:, :32] | (upper & 7) << 8, upper >> 3))


def tq1_0(blocks: Bytes) -> Floats:
    """d * (digit - 1): 32 and 16 bytes of five digits, 4 of four, d; a byte is a base-3 fraction of 256."""

    def digits(start: int, end: int, places: int) -> NDArray[np.uint8]:
        powers = 3 ** np.arange(places, dtype=np.uint8)
        shifted = blocks[:, None, start:end] * powers[:, None]
        return (shifted.astype(np.uint16) * 3 >> 8).astype(np.uint8).reshape(len(blocks), -1)

    values = np.concatenate([digits(0, 32, 5), digits(32, 48, 5), digits(48, 52, 4)], axis=1)
    return halves(blocks, 52) * (values.astype(np.float32) - 1)


def tq2_0(blocks: Bytes) -> Floats:
    """d * (q - 1): 64 bytes of 2 bits, d."""
    return halves(blocks, 64) * (fields(blocks[:, :64], 2, 32).astype(np.float32) - 1)
