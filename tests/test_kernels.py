"""Every leaf kernel of every engine against numpy, at odd sizes and offsets, between sentinels."""

from __future__ import annotations

from typing import Any

import engines
import numpy as np
import pytest
from engines import (
    ELEMENTWISE,
    MARGIN,
    PACKED_TYPES,
    ROUNDING,
    TINIEST,
    Floats,
    Input,
    Output,
    Values,
    any_blocks,
    assert_close,
    assert_elementwise,
    assert_sums,
)
from gguf import GGMLQuantizationType as GgmlType
from reference import attention_values, rms_norm, rope, rope_frequencies, softmax, swiglu

from pyllama3.backends import Engine
from pyllama3.config import RopeStyle

engine = engines.engine

LENGTHS = (1, 2, 7, 8, 31, 32, 33, 100, 257)


def normal(*shape: int, seed: int = 1) -> Floats:
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(np.float32)


# vectors


@pytest.mark.parametrize("count", LENGTHS)
def test_dot(engine: Engine, count: int) -> None:
    a, b = normal(count), normal(count, seed=2)
    dot = engine.Kernels.dot(Input(engine, a).array, MARGIN, Input(engine, b).run, 0, count)
    other_way = engine.Kernels.dot(Input(engine, b).run, 0, Input(engine, a).array, MARGIN, count)
    expected, magnitude = np.float64(a) @ np.float64(b), np.abs(a) @ np.abs(b)
    assert_sums([dot, other_way], expected, magnitude)


@pytest.mark.parametrize("count", LENGTHS)
def test_add(engine: Engine, count: int) -> None:
    y, x = Output(engine, normal(count)), Input(engine, normal(count, seed=2))
    engine.Kernels.add(y.run, x.run, count)
    np.testing.assert_array_equal(y.result(), normal(count) + normal(count, seed=2))


@pytest.mark.parametrize("dim", LENGTHS)
@pytest.mark.parametrize("size", [1, 1e-3, 1e4])  # for 1e-3 the mean square is below eps
def test_rms_norm(engine: Engine, dim: int, size: float) -> None:
    x, weight, eps = normal(dim) * np.float32(size), normal(dim, seed=2), 1e-5
    y = Output(engine, (dim,))
    engine.Kernels.rms_norm(y.array, Input(engine, x).array, MARGIN, Input(engine, weight).run, dim, eps)
    assert_elementwise(y.result(), rms_norm(np.float64(x), np.float64(weight), eps))


def test_rms_norm_of_zeros_is_zero(engine: Engine) -> None:
    y = Output(engine, (5,))
    engine.Kernels.rms_norm(y.array, Input(engine, np.zeros(5)).array, MARGIN, Input(engine, np.ones(5)).run, 5, 1e-5)
    assert not y.result().any()


@pytest.mark.parametrize("style", RopeStyle)
@pytest.mark.parametrize("half", [1, 2, 5, 16, 33])
def test_rope(engine: Engine, style: RopeStyle, half: int) -> None:
    head, position = normal(2 * half), 1000
    frequencies = rope_frequencies(2 * half, 500000)
    cosines = Input(engine, np.cos(position * frequencies))
    sines = Input(engine, np.sin(position * frequencies))
    x = Output(engine, head)
    turn = engine.Kernels.rope_interleaved if style == RopeStyle.INTERLEAVED else engine.Kernels.rope_half_split
    turn(x.array, MARGIN, cosines.array, sines.array, MARGIN, half)
    expected = rope(np.float64(head)[None, None], np.array([position]), frequencies, style)[0, 0]
    assert_close(x.result(), expected, ELEMENTWISE * np.abs(head).max())


# exponentials


def exp_error(x: Values) -> Values:
    """Return the relative error of exp(x): log2(e) and its product with x are rounded, which 2^ amplifies by |x|."""
    return ROUNDING * (8 + 1.5 * np.abs(x))


def test_exp_negative_over_its_whole_range(engine: Engine) -> None:
    x = -np.concatenate([[0, 1e-40, 1e-8], np.linspace(0, 87.3, 20001)]).astype(np.float32)
    y = np.array([engine.Kernels.exp_negative(float(number)) for number in x])
    assert y[0] == 1
    expected = np.exp(np.float64(x))
    assert_close(y, expected, exp_error(x) * expected)


@pytest.mark.parametrize("x", [-87.4, -104, -1e4, -3e38])
def test_exp_negative_of_very_negative_numbers_is_next_to_nothing(engine: Engine, x: float) -> None:
    assert 0 <= engine.Kernels.exp_negative(x) <= TINIEST


@pytest.mark.parametrize("count", LENGTHS)
@pytest.mark.parametrize("scale", [0, 1, 30])
def test_softmax(engine: Engine, count: int, scale: float) -> None:
    scores = normal(count) * np.float32(scale) + np.float32(1000 * scale)
    x = Output(engine, scores)
    engine.Kernels.softmax(x.array, MARGIN, count)
    expected = softmax(np.float64(scores))
    below_the_best = np.float64(scores).max() - scores
    assert_close(x.result(), expected, 2 * exp_error(below_the_best) * expected)


def test_softmax_of_scores_far_apart(engine: Engine) -> None:
    x = Output(engine, [-3e38, 0, -3e38])
    engine.Kernels.softmax(x.array, MARGIN, 3)
    assert_close(x.result(), [0, 1, 0], TINIEST)


@pytest.mark.parametrize("count", LENGTHS)
def test_swi_glu(engine: Engine, count: int) -> None:
    gate, up = normal(count) * 3, normal(count, seed=2)
    y = Output(engine, gate)
    engine.Kernels.swi_glu(y.array, Input(engine, up).array, MARGIN, count)
    expected = swiglu(np.float64(gate), np.float64(up))
    assert_close(y.result(), expected, exp_error(gate) * np.abs(expected))


@pytest.mark.parametrize(
    ("gate", "expected"), [(0, 0), (1e-30, 5e-31), (50, 50), (1e4, 1e4), (3e38, 3e38), (-100, 0), (-1e4, 0)]
)
def test_swi_glu_of_extreme_gates(engine: Engine, gate: float, expected: float) -> None:
    y = Output(engine, [gate])
    engine.Kernels.swi_glu(y.array, Input(engine, [1.0]).array, MARGIN, 1)
    np.testing.assert_allclose(y.result(), [expected], rtol=ELEMENTWISE, atol=1e-33)


# attention


@pytest.mark.parametrize(("count", "head_dim", "stride"), [(1, 2, 2), (3, 33, 40), (70, 16, 48), (9, 64, 64)])
def test_attention_scores(engine: Engine, count: int, head_dim: int, stride: int) -> None:
    query, keys, scale = normal(head_dim), normal(count, stride), 0.3
    scores = Output(engine, (count,))
    engine.Kernels.attention_scores(
        scores.array, MARGIN, Input(engine, query).array, MARGIN, *between_others(engine, keys, head_dim), count,
        head_dim, scale,
    )  # fmt: skip
    used = np.float64(keys[:, :head_dim])
    assert_sums(scores.result(), used @ query * scale, np.abs(used) @ np.abs(query) * scale)


@pytest.mark.parametrize(("count", "head_dim", "stride"), [(1, 2, 2), (3, 33, 40), (70, 16, 48), (9, 64, 64)])
def test_attention_values(engine: Engine, count: int, head_dim: int, stride: int) -> None:
    probabilities, values = softmax(np.float64(normal(count))), normal(count, stride)
    y = Output(engine, (head_dim,))
    engine.Kernels.attention_values(
        y.array, MARGIN, Input(engine, probabilities).array, MARGIN, *between_others(engine, values, head_dim), count,
        head_dim,
    )  # fmt: skip
    used = np.float64(values[:, None, :head_dim])  # (count, 1 head, head_dim)
    expected, magnitude = (attention_values(probabilities[None, None], v)[0, 0] for v in (used, np.abs(used)))
    assert_sums(y.result(), expected, magnitude)


def between_others(engine: Engine, rows: Floats, head_dim: int) -> tuple[object, int, int]:
    """Return an array with NaN beside the first head_dim numbers of each row, where they start, and their distance."""
    masked = rows.copy()
    masked[:, head_dim:] = np.nan
    return Input(engine, masked).array, MARGIN, rows.shape[1]


# stored types


def test_half_to_float_of_every_finite_pattern(engine: Engine) -> None:
    bits = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
    expected = bits.view(np.float16).astype(np.float32)
    finite = np.isfinite(expected)
    converted = [engine.Dequantizer.half_to_float(int(half)) for half in bits[finite]]
    assert_same_bits(np.array(converted, np.float32), expected[finite])


@pytest.mark.parametrize("kind", [GgmlType.F16, GgmlType.BF16])
def test_16_bit_floats_of_every_finite_pattern(engine: Engine, kind: GgmlType) -> None:
    bits = np.arange(1 << 16).astype(np.uint16)
    if kind == GgmlType.F16:
        wide = bits.view(np.float16).astype(np.float32)
    else:
        wide = (bits.astype(np.uint32) << 16).view(np.float32)
    finite = np.isfinite(wide)
    y = Output(engine, (int(finite.sum()),))
    expand = engine.Dequantizer.f16 if kind == GgmlType.F16 else engine.Dequantizer.bf16
    expand(y.run, Input(engine, bits[finite].view(np.int16), "int16").array, MARGIN, len(y.result()))
    assert_same_bits(y.result(), wide[finite])


@pytest.mark.parametrize("kind", PACKED_TYPES)
@pytest.mark.parametrize("blocks", [1, 3])
def test_blocks_of_any_bytes(engine: Engine, kind: GgmlType, blocks: int) -> None:
    data, expected = any_blocks(kind, 1, 32 * blocks)
    y = Output(engine, (32 * blocks,))
    expand = getattr(engine.Dequantizer, kind.name.lower())
    expand(y.run, Input(engine, data, "uint8").array, MARGIN, 32 * blocks)
    np.testing.assert_array_equal(y.result(), expected[0])


def assert_same_bits(actual: Floats, expected: Floats) -> None:
    """Assert equality that tells the zeros apart."""
    np.testing.assert_array_equal(actual.view(np.uint32), expected.view(np.uint32))


# packed weights

ROWS, COLS = 64, 96
WORDS = {GgmlType.Q4_0: 8, GgmlType.Q4_1: 8, GgmlType.Q8_0: 16}
"""Words per row and block."""


class PackedWeights:
    """ROWS rows of COLS numbers in a packed type; `words` and `halves` are arguments of the kernels."""

    def __init__(self, engine: Engine, kind: GgmlType) -> None:
        data, self.exact = any_blocks(kind, ROWS, COLS)
        blocks = ROWS * COLS // 32
        self.four_bits = kind != GgmlType.Q8_0
        self.quants = Output(engine, np.zeros(blocks * WORDS[kind]), "uint16")
        self.scales = Output(engine, np.zeros(blocks), "int16")
        self.minimums = Output(engine, np.zeros(blocks), "int16") if kind == GgmlType.Q4_1 else None
        self.arguments: list[Any] = [self.quants.run, self.scales.run]
        if self.four_bits:
            self.arguments.append(self.minimums.run if self.minimums else None)
        pack = engine.Packed.pack_q4 if self.four_bits else engine.Packed.pack_q8
        for start in range(0, ROWS, 32):
            pack(*self.arguments, Input(engine, data, "uint8").run, start, start + 32, COLS)

    def check(self) -> None:
        """Assert that packing wrote nothing around its arrays."""
        for output in (self.quants, self.scales, self.minimums):
            if output is not None:
                output.result()


@pytest.mark.parametrize("kind", PACKED_TYPES)
@pytest.mark.parametrize("row", range(0, ROWS, 16))
@pytest.mark.parametrize(("column", "cols"), [(0, 96), (0, 32), (32, 64), (64, 32)])
def test_a_tile_of_packed_weights(engine: Engine, kind: GgmlType, row: int, column: int, cols: int) -> None:
    packed = PackedWeights(engine, kind)
    packed.check()
    tile = Output(engine, (cols, 16))
    fill = engine.Packed.tile_q4 if packed.four_bits else engine.Packed.tile_q8
    fill(tile.run, *packed.arguments, row, column, cols, COLS)
    np.testing.assert_array_equal(tile.result(), packed.exact[row : row + 16, column : column + cols].T)


@pytest.mark.parametrize("kind", PACKED_TYPES)
@pytest.mark.parametrize(("start", "end"), [(0, 64), (0, 32), (32, 64)])
def test_packed_weights_times_a_vector(engine: Engine, kind: GgmlType, start: int, end: int) -> None:
    packed = PackedWeights(engine, kind)
    x, y = normal(COLS), Output(engine, np.full(ROWS, 5))
    multiply = engine.Packed.mat_vec_q4 if packed.four_bits else engine.Packed.mat_vec_q8
    multiply(y.array, MARGIN, *packed.arguments, Input(engine, x).array, MARGIN, start, end, COLS)
    result, wanted = y.result(), slice(start, end)
    assert (np.delete(result, np.r_[wanted]) == 5).all()
    assert_sums(result[wanted], packed.exact[wanted] @ x, np.abs(packed.exact[wanted]) @ np.abs(x))


@pytest.mark.parametrize("cols", [1, 2, 3, 50])
def test_tiles(engine: Engine, cols: int) -> None:
    tile, x, y = normal(cols, 16), normal(4, cols + 5), normal(4, 16 + 3)
    expected = y[:, :16] + np.float64(x[:, :cols]) @ tile
    magnitude = np.abs(y[:, :16]) + np.abs(x[:, :cols]) @ np.abs(tile)
    x[:, cols:] = np.nan  # not to be read
    four, one = Output(engine, y), Output(engine, y[0])
    weights, vectors = Input(engine, tile).run, Input(engine, x).array  # NaN follows the weights
    engine.Kernels.tile4(four.array, MARGIN, y.shape[1], weights, vectors, MARGIN, x.shape[1], cols)
    engine.Kernels.tile1(one.array, MARGIN, weights, vectors, MARGIN, cols)
    assert_sums(four.result()[:, :16], expected, magnitude)
    assert_sums(one.result()[:16], expected[0], magnitude[0])
    np.testing.assert_array_equal(four.result()[:, 16:], y[:, 16:])
    np.testing.assert_array_equal(one.result()[16:], y[0, 16:])
