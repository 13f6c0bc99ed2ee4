"""Every leaf kernel of every engine against numpy, at odd sizes and offsets, between sentinels.

To add a case: a length in `LENGTHS`, or for a new kernel a formula in numpy between an `Input` and an `Output`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from blocks import any_blocks, ggml
from engines import (
    ELEMENTWISE,
    HALF_ROUNDING,
    MARGIN,
    ROUNDING,
    TINIEST,
    Floats,
    Input,
    Output,
    Values,
    assert_close,
    assert_elementwise,
    assert_sums,
    normal,
    random_matrix,
)
from gguf import dequantize
from hypothesis import given
from hypothesis import strategies as st

from pyllama3.analysis.reference import Array, rms_norm, rope, rope_frequencies, softmax, swiglu
from pyllama3.backends import Engine
from pyllama3.config import RopeStyle
from pyllama3.weights import TensorType

LENGTHS = (1, 2, 7, 8, 31, 32, 33, 100, 257)


# vectors


@pytest.mark.parametrize("count", LENGTHS)
def test_dot(any_engine: Engine, count: int) -> None:
    a, b = normal(count), normal(count, seed=2)
    dot = any_engine.Kernels.dot(Input(any_engine, a).array, MARGIN, Input(any_engine, b).run, 0, count)
    other_way = any_engine.Kernels.dot(Input(any_engine, b).run, 0, Input(any_engine, a).array, MARGIN, count)
    expected, magnitude = np.float64(a) @ np.float64(b), np.abs(a) @ np.abs(b)
    assert_sums([dot, other_way], expected, magnitude)


@pytest.mark.parametrize("type", [TensorType.F16, TensorType.BF16])
@pytest.mark.parametrize("count", LENGTHS)
def test_dot_with_16_bit_floats(any_engine: Engine, type: TensorType, count: int) -> None:
    a, b = random_matrix(type, 1, count), normal(count)
    dot = any_engine.Kernels.dot_f16 if type == TensorType.F16 else any_engine.Kernels.dot_bf16
    halves = Input(any_engine, a.data.view(np.int16), "int16")
    result = dot(halves.array, MARGIN, Input(any_engine, b).array, MARGIN, count)
    assert_sums(result, a.exact[0] @ b, np.abs(a.exact[0]) @ np.abs(b))


@pytest.mark.parametrize("count", LENGTHS)
def test_add(any_engine: Engine, count: int) -> None:
    y, x = Output(any_engine, normal(count)), Input(any_engine, normal(count, seed=2))
    any_engine.Kernels.add(y.run, x.run, count)
    np.testing.assert_array_equal(y.result(), normal(count) + normal(count, seed=2))


@pytest.mark.parametrize("dim", LENGTHS)
@pytest.mark.parametrize("size", [1, 1e-3, 1e4])  # for 1e-3 the mean square is below eps
def test_rms_norm(any_engine: Engine, dim: int, size: float) -> None:
    x, weight, eps = normal(dim) * np.float32(size), normal(dim, seed=2), 1e-5
    y = Output(any_engine, (dim,))
    any_engine.Kernels.rms_norm(y.array, Input(any_engine, x).array, MARGIN, Input(any_engine, weight).run, dim, eps)
    assert_elementwise(y.result(), rms_norm(np.float64(x), np.float64(weight), eps))


def test_rms_norm_of_zeros_is_zero(any_engine: Engine) -> None:
    y = Output(any_engine, (5,))
    any_engine.Kernels.rms_norm(
        y.array, Input(any_engine, np.zeros(5)).array, MARGIN, Input(any_engine, np.ones(5)).run, 5, 1e-5
    )
    assert not y.result().any()


@pytest.mark.parametrize("style", RopeStyle)
@pytest.mark.parametrize("half", [1, 2, 5, 16, 33])
def test_rope(any_engine: Engine, style: RopeStyle, half: int) -> None:
    head, position = normal(2 * half), 1000
    frequencies = rope_frequencies(2 * half, 500000)
    cosines = Input(any_engine, np.cos(position * frequencies))
    sines = Input(any_engine, np.sin(position * frequencies))
    x = Output(any_engine, head)
    turn = any_engine.Kernels.rope_interleaved if style == RopeStyle.INTERLEAVED else any_engine.Kernels.rope_half_split
    turn(x.array, MARGIN, cosines.array, sines.array, MARGIN, half)
    expected = rope(np.float64(head)[None, None], np.array([position]), frequencies, style)[0, 0]
    assert_close(x.result(), expected, ELEMENTWISE * np.abs(head).max())


# exponentials


def exp_error(x: Values) -> Values:
    """Return the relative error of exp(x): log2(e) and its product with x are rounded, which 2^ amplifies by |x|."""
    return ROUNDING * (8 + 1.5 * np.abs(x))


def test_exp_negative_over_its_whole_range(any_engine: Engine) -> None:
    x = -np.concatenate([[0, 1e-40, 1e-8], np.linspace(0, 87.3, 20001)]).astype(np.float32)
    y = np.array([any_engine.Kernels.exp_negative(float(number)) for number in x])
    assert y[0] == 1
    expected = np.exp(np.float64(x))
    assert_close(y, expected, exp_error(x) * expected)


@pytest.mark.parametrize("x", [-87.4, -104, -1e4, -3e38])
def test_exp_negative_of_very_negative_numbers_is_next_to_nothing(any_engine: Engine, x: float) -> None:
    assert 0 <= any_engine.Kernels.exp_negative(x) <= TINIEST


@pytest.mark.parametrize("count", LENGTHS)
@pytest.mark.parametrize("scale", [0, 1, 30])
def test_softmax(any_engine: Engine, count: int, scale: float) -> None:
    scores = normal(count) * np.float32(scale) + np.float32(1000 * scale)
    x = Output(any_engine, scores)
    any_engine.Kernels.softmax(x.array, MARGIN, count)
    expected = softmax(np.float64(scores))
    below_the_best = np.float64(scores).max() - scores
    assert_close(x.result(), expected, 2 * exp_error(below_the_best) * expected)


def test_softmax_of_scores_far_apart(any_engine: Engine) -> None:
    x = Output(any_engine, [-3e38, 0, -3e38])
    any_engine.Kernels.softmax(x.array, MARGIN, 3)
    assert_close(x.result(), [0, 1, 0], TINIEST)


@pytest.mark.parametrize("count", LENGTHS)
def test_swi_glu(any_engine: Engine, count: int) -> None:
    gate, up = normal(count) * 3, normal(count, seed=2)
    y = Output(any_engine, gate)
    any_engine.Kernels.swi_glu(y.array, Input(any_engine, up).array, MARGIN, count)
    expected = swiglu(np.float64(gate), np.float64(up))
    assert_close(y.result(), expected, exp_error(gate) * np.abs(expected))


@pytest.mark.parametrize(
    ("gate", "expected"), [(0, 0), (1e-30, 5e-31), (50, 50), (1e4, 1e4), (3e38, 3e38), (-100, 0), (-1e4, 0)]
)
def test_swi_glu_of_extreme_gates(any_engine: Engine, gate: float, expected: float) -> None:
    y = Output(any_engine, [gate])
    any_engine.Kernels.swi_glu(y.array, Input(any_engine, [1.0]).array, MARGIN, 1)
    np.testing.assert_allclose(y.result(), [expected], rtol=ELEMENTWISE, atol=1e-33)


# stored types


def test_half_to_float_of_every_finite_pattern(any_engine: Engine) -> None:
    bits = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
    expected = bits.view(np.float16).astype(np.float32)
    finite = np.isfinite(expected)
    converted = [any_engine.Dequantizer.half_to_float(int(half)) for half in bits[finite]]
    assert_same_bits(np.array(converted, np.float32), expected[finite])


def test_float_to_half_of_every_half(any_engine: Engine) -> None:
    bits = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
    values = bits.view(np.float16).astype(np.float32)
    finite = np.isfinite(values)
    converted = [any_engine.Kernels.float_to_half(float(value)) for value in values[finite]]
    np.testing.assert_array_equal(converted, bits[finite])


def test_float_to_half_rounds_to_nearest_ties_to_even(any_engine: Engine) -> None:
    halves = np.arange(0x0400, 0x7BFF).astype(np.int16).view(np.float16).astype(np.float32)[::37]  # normal numbers
    step = halves * 2.0**-11
    near = np.concatenate([halves + step * fraction for fraction in (0.3, 0.5, 0.7, 1.0, 1.5)]).astype(np.float32)
    values = np.concatenate([near, -near])
    values = values[np.abs(values) < 65504]
    converted = [any_engine.Kernels.float_to_half(float(value)) for value in values]
    np.testing.assert_array_equal(converted, values.astype(np.float16).view(np.int16))


@given(st.floats(-(2.0**-14), 2.0**-14, width=32))
def test_float_to_half_of_small_numbers(any_engine: Engine, value: float) -> None:
    half = np.array([any_engine.Kernels.float_to_half(value)], np.int16).view(np.float16)[0]
    assert abs(float(half) - value) <= 2.0**-25 * (1 + HALF_ROUNDING)  # half of the distance between subnormal numbers


@pytest.mark.parametrize(("value", "half"), [(65520, 65504), (1e6, 65504), (-3e38, -65504)])
def test_float_to_half_of_large_numbers_is_the_largest_half(any_engine: Engine, value: float, half: float) -> None:
    assert np.array([any_engine.Kernels.float_to_half(value)], np.int16).view(np.float16)[0] == half


@pytest.mark.parametrize("type", [TensorType.F16, TensorType.BF16])
def test_16_bit_floats_of_every_finite_pattern(any_engine: Engine, type: TensorType) -> None:
    bits = np.arange(1 << 16).astype(np.uint16)
    if type == TensorType.F16:
        wide = bits.view(np.float16).astype(np.float32)
    else:
        wide = (bits.astype(np.uint32) << 16).view(np.float32)
    finite = np.isfinite(wide)
    y = Output(any_engine, (int(finite.sum()),))
    expand = any_engine.Dequantizer.f16 if type == TensorType.F16 else any_engine.Dequantizer.bf16
    expand(y.run, Input(any_engine, bits[finite].view(np.int16), "int16").array, MARGIN, len(y.result()))
    assert_same_bits(y.result(), wide[finite])


def assert_same_bits(actual: Floats, expected: Floats) -> None:
    """Assert equality that tells the zeros apart."""
    np.testing.assert_array_equal(actual.view(np.uint32), expected.view(np.uint32))


# packed weights

ROWS, COLS = 64, 96
PACKED_TYPES = (TensorType.Q8_0, TensorType.Q4_0, TensorType.Q4_1)


class PackedWeights:
    """ROWS rows of COLS numbers; `arguments` are those of the kernels."""

    def __init__(self, any_engine: Engine, type: TensorType) -> None:
        data = any_blocks(type, ROWS * COLS // 32)
        self.exact = dequantize(data.reshape(ROWS, -1), ggml(type)).astype(np.float64)
        self.four_bits = type != TensorType.Q8_0
        blocks = ROWS * COLS // 32
        self.outputs = [Output(any_engine, (blocks * (4 if self.four_bits else 8),), "int32")]
        self.outputs += [Output(any_engine, (blocks,), "int16") for _ in range(2 if type == TensorType.Q4_1 else 1)]
        self.arguments: list[Any] = [output.run for output in self.outputs]
        if type == TensorType.Q4_0:
            self.arguments.append(None)  # no minimums
        pack = any_engine.Packed.pack_q4 if self.four_bits else any_engine.Packed.pack_q8
        for start in range(0, ROWS, 32):
            pack(*self.arguments, Input(any_engine, data, "uint8").run, start, start + 32, COLS)


@pytest.mark.parametrize("type", PACKED_TYPES)
@pytest.mark.parametrize("row", range(0, ROWS, 16))
@pytest.mark.parametrize(("column", "cols"), [(0, 96), (0, 32), (32, 64), (64, 32)])
def test_a_tile_of_packed_weights(any_engine: Engine, type: TensorType, row: int, column: int, cols: int) -> None:
    packed = PackedWeights(any_engine, type)
    for output in packed.outputs:
        output.result()
    tile = Output(any_engine, (cols, 16))
    fill = any_engine.Packed.tile_q4 if packed.four_bits else any_engine.Packed.tile_q8
    fill(tile.run, *packed.arguments, row, column, cols, COLS)
    np.testing.assert_array_equal(tile.result(), packed.exact[row : row + 16, column : column + cols].T)


@pytest.mark.parametrize("type", PACKED_TYPES)
@pytest.mark.parametrize(("start", "end"), [(0, 64), (0, 32), (32, 64)])
def test_packed_weights_times_a_vector(any_engine: Engine, type: TensorType, start: int, end: int) -> None:
    packed = PackedWeights(any_engine, type)
    x, y = normal(COLS), Output(any_engine, np.full(ROWS, 5))
    multiply = any_engine.Packed.mat_vec_q4 if packed.four_bits else any_engine.Packed.mat_vec_q8
    multiply(y.array, MARGIN, *packed.arguments, Input(any_engine, x).array, MARGIN, start, end, COLS)
    check_rows(y.result(), start, end, packed.exact, x)


def check_rows(y: Floats, start: int, end: int, weights: Array, x: Values) -> None:
    """Assert that the rows start to end are products, and the others still 5."""
    wanted = slice(start, end)
    assert (np.delete(y, np.r_[wanted]) == 5).all()
    assert_sums(y[wanted], weights[wanted] @ x, np.abs(weights[wanted]) @ np.abs(x))


@pytest.mark.parametrize("cols", [1, 7, 8, 9, 40, 256])
def test_filling_a_tile(any_engine: Engine, cols: int) -> None:
    rows = normal(16, cols + 3)
    expected = rows[:, :cols].T.copy()
    rows[:, cols:] = np.nan  # not to be read
    tile = Output(any_engine, (cols, 16))
    any_engine.Kernels.fill_tile(tile.run, Input(any_engine, rows).run, cols + 3, cols)
    np.testing.assert_array_equal(tile.result(), expected)


@pytest.mark.parametrize("cols", [1, 2, 3, 50])
def test_tiles(any_engine: Engine, cols: int) -> None:
    tile, x, y = normal(cols, 16), normal(4, cols + 5), normal(4, 16 + 3)
    expected = y[:, :16] + np.float64(x[:, :cols]) @ tile
    magnitude = np.abs(y[:, :16]) + np.abs(x[:, :cols]) @ np.abs(tile)
    x[:, cols:] = np.nan  # not to be read
    four, one = Output(any_engine, y), Output(any_engine, y[0])
    weights, vectors = Input(any_engine, tile).run, Input(any_engine, x).array  # NaN follows the weights
    any_engine.Kernels.tile4(four.array, MARGIN, y.shape[1], weights, vectors, MARGIN, x.shape[1], cols)
    any_engine.Kernels.tile1(one.array, MARGIN, weights, vectors, MARGIN, cols)
    assert_sums(four.result()[:, :16], expected, magnitude)
    assert_sums(one.result()[:16], expected[0], magnitude[0])
    np.testing.assert_array_equal(four.result()[:, 16:], y[:, 16:])
    np.testing.assert_array_equal(one.result()[16:], y[0, 16:])


# 8-bit activations


class Quantized:
    """A vector of whole blocks of 32, quantized at the offset 64."""

    def __init__(self, any_engine: Engine, x: Floats) -> None:
        self.quants = Output(any_engine, np.full(64 + len(x), 3), "int8")
        self.scales = Output(any_engine, np.full(2 + len(x) // 32, 3), "float32")
        self.sums = Output(any_engine, np.full(4 + len(x) // 16, 3), "float32")
        x = np.concatenate([np.full(64, np.nan, np.float32), x])
        outputs = self.quants.run, self.scales.run, self.sums.run
        any_engine.Int8.quantize(*outputs, Input(any_engine, x).run, 64, len(x) - 64)

    def numbers(self) -> Values:
        """Return what the quantized vector means."""
        return (self.quants.result()[64:].reshape(-1, 32) * np.float64(self.scales.result()[2:, None])).ravel()


@given(st.lists(st.floats(-1000, 1000, width=32), min_size=32, max_size=32), st.sampled_from([1.0, 1e-6, 1e6]))
def test_quantizing_a_block(any_engine: Engine, numbers: list[float], size: float) -> None:
    x = np.array(numbers, np.float32) * np.float32(size)
    quantized = Quantized(any_engine, x)
    scale, quants = quantized.scales.result()[2], quantized.quants.result()[64:].astype(int)
    largest = np.abs(x).max()
    assert_close(scale, largest / 127, ELEMENTWISE * largest)
    if scale > TINIEST:
        assert_close(quantized.numbers(), x, scale * (0.5 + 2.0**-14))
        assert np.abs(quants).max() == 127
    assert_close(quantized.sums.result()[4:], scale * quants.reshape(2, 16).sum(axis=1), ELEMENTWISE * largest * 16)


@pytest.mark.parametrize("top", [1e-30, 3e-37, 1e-38, 1e-44])  # 127 / 3e-37 is beyond float32
def test_quantizing_a_block_of_next_to_nothing(any_engine: Engine, top: float) -> None:
    x = np.zeros(32, np.float32)
    x[[3, 4, 5]] = top, -top, top
    quantized = Quantized(any_engine, x)  # the sanitizers notice if its sum overflows
    assert_close(quantized.numbers(), x, top)
    assert_close(quantized.sums.result()[4:], quantized.numbers().reshape(2, 16).sum(axis=1), top * 2.0**-20)


def test_quantizing_leaves_the_rest_alone(any_engine: Engine) -> None:
    quantized = Quantized(any_engine, normal(96))
    assert (quantized.quants.result()[:64] == 3).all()
    assert (quantized.scales.result()[:2] == 3).all()
    assert (quantized.sums.result()[:4] == 3).all()


def test_a_block_of_zeros_stays_zero(any_engine: Engine) -> None:
    quantized = Quantized(any_engine, np.zeros(64, np.float32))
    assert not quantized.quants.result()[64:].any()
    assert not quantized.numbers().any()


EXTREMES = {
    "random": normal(COLS),
    "largest": np.full(COLS, 127, np.float32),
    "smallest": np.full(COLS, -127, np.float32),
    "alternating": np.tile([127, -127], COLS // 2).astype(np.float32),
}
"""Vectors with the largest integers, at which sums of 16 bits might overflow."""


def multiply(any_engine: Engine, packed: PackedWeights, vectors: list[Quantized], start: int, end: int) -> Values:
    """Return the products of some rows with quantized vectors; what is not computed is 5."""
    quants, scales, sums = zip(
        *((v.quants.result()[64:], v.scales.result()[2:], v.sums.result()[4:]) for v in vectors), strict=True
    )
    batch = [
        Input(any_engine, np.concatenate(parts), dtype).run
        for parts, dtype in ((quants, "int8"), (scales, "float32"), (sums, "float32"))
    ]
    words, *scales_and_minimums = packed.arguments
    if len(scales_and_minimums) == 1:
        scales_and_minimums.append(None)
    y = Output(any_engine, np.full((len(vectors), ROWS), 5))
    layout = 8, 4 if packed.four_bits else 8, 0
    any_engine.Int8.mat_mul(
        y.run, ROWS, words, *scales_and_minimums, None, *layout, *batch, len(vectors), start, end, COLS
    )
    return y.result()


@pytest.mark.parametrize("type", PACKED_TYPES)
@pytest.mark.parametrize("x", EXTREMES)
@pytest.mark.parametrize(("start", "end"), [(0, 64), (32, 64)])
@pytest.mark.parametrize("count", [1, 4])
def test_packed_weights_times_8_bit_activations(
    any_engine: Engine, type: TensorType, x: str, start: int, end: int, count: int
) -> None:
    packed, vector = PackedWeights(any_engine, type), Quantized(any_engine, EXTREMES[x])
    for row in multiply(any_engine, packed, [vector] * count, start, end):
        check_rows(row, start, end, packed.exact, vector.numbers())


@pytest.mark.parametrize("type", PACKED_TYPES)
@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_packed_weights_times_a_batch_of_8_bit_activations(any_engine: Engine, type: TensorType, count: int) -> None:
    packed = PackedWeights(any_engine, type)
    vectors = [Quantized(any_engine, normal(COLS, seed=seed) * 10 ** (seed % 4)) for seed in range(count)]
    products = multiply(any_engine, packed, vectors, 32, 64)
    for row, vector in zip(products, vectors, strict=True):
        check_rows(row, 32, 64, packed.exact, vector.numbers())
