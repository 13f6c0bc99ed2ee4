"""The leaf kernels on vectors, of every engine, against numpy, at odd sizes and offsets, between sentinels.

To add a case: a length in `LENGTHS`, or for a new kernel a formula in numpy between an `Input` and an `Output`.
"""

from __future__ import annotations

import numpy as np
import pytest
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
from hypothesis import given
from hypothesis import strategies as st

from pyllama3.analysis.reference import rms_norm, rope, rope_frequencies, softmax, swiglu
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
    any_engine.Kernels.add(y.run, 0, x.run, 0, count)
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
