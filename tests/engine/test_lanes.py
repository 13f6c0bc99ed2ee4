"""The steps on 16 lanes, alone, against what they are defined as: at odd offsets, at random and at their extremes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from engines import MARGIN, ROUNDING, Input, Output
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pyllama3.backends import Engine


@pytest.fixture(scope="module")
def engine(any_engine: Engine) -> Engine:
    """Also generated Python without native blocks."""
    return any_engine


LANES = 16
Integers = npt.NDArray[Any]
AT = 5
"""Where runs start that have a length of their own."""


def padded(values: Integers) -> Integers:
    """Return numbers behind others that give too much."""
    return np.concatenate([np.full(AT, 99, values.dtype), values])


def test_there_are_16(engine: Engine) -> None:
    assert engine.Lanes.COUNT == LANES


# a * b + c

finite = st.floats(-(2.0**40), 2.0**40, width=32)


@given(finite, finite, finite)
@example(1 + 2.0**-23, 1 - 2.0**-24, -1.0)  # where one rounding and two differ
def test_multiply_add_rounds_once_or_twice(engine: Engine, a: float, b: float, c: float) -> None:
    result = np.float32(engine.Lanes.multiply_add(a, b, c))
    twice = np.float32(a * b) + np.float32(c)  # products of float32 are exact in float64
    once = np.float32(a * b + c)  # or its neighbour, since the sum was rounded to float64 first
    assert result in {twice, once, *(np.nextafter(once, np.float32(limit)) for limit in (-np.inf, np.inf))}


def test_multiply_add_is_exact_where_it_can_be(engine: Engine) -> None:
    assert engine.Lanes.multiply_add(3.0, -4.0, 5.0) == -7
    assert abs(engine.Lanes.multiply_add(1 / 3, 3.0, -1.0)) <= 2 * ROUNDING


# half-precision numbers

HALVES = np.arange(1 << 16).astype(np.uint16).view(np.int16)
FINITE_HALVES = HALVES[np.isfinite(HALVES.view(np.float16))]


def test_halves_of_every_finite_pattern(engine: Engine) -> None:
    halves = Input(engine, FINITE_HALVES, "int16")
    expected = FINITE_HALVES.view(np.float16).astype(np.float32)
    for at in range(0, len(expected), LANES):
        y = Output(engine, (LANES,))
        engine.Lanes.load_halves(y.run, halves.array, MARGIN + at)
        np.testing.assert_array_equal(y.result().view(np.uint32), expected[at : at + LANES].view(np.uint32))


# products of pairs

SHORTS = st.integers(-(2**15), 2**15 - 1)
BYTES = st.integers(0, 255)
EXTREME_PAIRS = [
    (np.full(32, weight, np.int16), np.array(factors, np.int16))
    for weight in (0, 1, 15, 63, 127, 255, 32767, -32768)
    for factors in ((32767, 32767), (-32767, -32767), (32767, -32767), (-127, 127), (-32768, 0), (0, 32767))
]


def check_pairs(engine: Engine, pairs: Integers, x: Integers, start: Integers) -> None:
    sums = Output(engine, start, "int32")
    weights, factors = Input(engine, padded(pairs), "int16"), Input(engine, padded(x), "int16")
    engine.Lanes.add_pairs(sums.run, weights.array, MARGIN + AT, factors.array, MARGIN + AT)
    np.testing.assert_array_equal(sums.result(), start + pairs.reshape(LANES, 2).astype(np.int64) @ x.astype(np.int64))


@given(arrays(np.int16, 32, elements=SHORTS))
def test_pairs_are_loaded(engine: Engine, pairs: Integers) -> None:
    y = Output(engine, (LANES,), "int32")
    engine.Lanes.load_pairs(y.run, Input(engine, padded(pairs), "int16").array, MARGIN + AT)
    np.testing.assert_array_equal(y.result(), pairs.astype("<i2").view("<i4"))


@given(arrays(np.int16, 32, elements=SHORTS), arrays(np.int16, 2, elements=st.integers(-32767, 32767)))
def test_pairs_of_any_numbers(engine: Engine, pairs: Integers, x: Integers) -> None:
    check_pairs(engine, pairs, x, np.zeros(LANES, np.int64))


@given(
    arrays(np.int16, 32, elements=BYTES),
    arrays(np.int16, 2, elements=SHORTS),
    arrays(np.int64, LANES, elements=st.integers(-(2**30), 2**30)),
)
def test_pairs_are_added(engine: Engine, pairs: Integers, x: Integers, start: Integers) -> None:
    check_pairs(engine, pairs, x, start)


@pytest.mark.parametrize(("pairs", "x"), EXTREME_PAIRS)
def test_extreme_pairs(engine: Engine, pairs: Integers, x: Integers) -> None:
    check_pairs(engine, pairs, x, np.zeros(LANES, np.int64))


def test_the_largest_sum_of_a_block(engine: Engine) -> None:
    """32 columns of 8 bits and 16-bit activations: the most that is added up as integers."""
    pairs, x = Input(engine, np.full(32, 255), "int16").run, Input(engine, [-32767, -32767], "int16").run
    sums = Output(engine, np.zeros(LANES), "int32")
    for _ in range(16):
        engine.Lanes.add_pairs(sums.run, pairs, 0, x, 0)
    assert (sums.result() == -32 * 255 * 32767).all()


# products of bytes


def most(engine: Engine) -> int:
    """Return the largest byte that `AddBytes` may meet, also where nothing calls it."""
    return int(engine.Lanes.MAX_BYTE) or 255


def check_bytes(engine: Engine, weights: Integers, x: Integers, start: Integers) -> None:
    sums = Output(engine, start, "int32")
    words = padded(weights.astype(np.uint8).view(np.int16))
    factors = Input(engine, padded(x), "int8")
    engine.Lanes.add_bytes(sums.run, Input(engine, words, "int16").array, MARGIN + AT, factors.array, MARGIN + AT)
    expected = start + weights.reshape(LANES, 4).astype(np.int64) @ x.astype(np.int64)
    np.testing.assert_array_equal(sums.result(), expected)


@given(
    arrays(np.uint8, 64, elements=BYTES),
    arrays(np.int8, 4, elements=st.integers(-127, 127)),
    arrays(np.int64, LANES, elements=st.integers(-(2**30), 2**30)),
)
def test_bytes(engine: Engine, weights: Integers, x: Integers, start: Integers) -> None:
    check_bytes(engine, np.minimum(weights, most(engine)), x, start)


@pytest.mark.parametrize("x", [(127,) * 4, (-127,) * 4, (127, -127, 127, -127), (127, 127, -127, -127), (0, 0, 0, 127)])
def test_extreme_bytes(engine: Engine, x: tuple[int, ...]) -> None:
    """Two products of the largest numbers do not fit into 16 bits, in which some processors add them."""
    for weight in {0, 1, 15, 63, most(engine)}:
        check_bytes(engine, np.full(64, weight, np.uint8), np.array(x, np.int8), np.zeros(LANES, np.int64))
    weights = np.resize([most(engine), 0, 1], 64)
    check_bytes(engine, weights, np.array(x, np.int8), np.full(LANES, -7, np.int64))


def test_what_pays_off_is_told(engine: Engine) -> None:
    assert engine.Activations.get_max_byte() == engine.Lanes.MAX_BYTE
    assert engine.Lanes.MAX_BYTE in (0, 63, 127, 255)


# tables


@given(arrays(np.uint8, 16, elements=BYTES), arrays(np.int16, 32, elements=st.integers(0, 15)))
@example(np.arange(255, 239, -1, np.uint8), np.arange(32, dtype=np.int16) % 16)
def test_look_up(engine: Engine, table: Integers, indices: Integers) -> None:
    y = Output(engine, padded(indices), "int16")
    entries = Input(engine, table, "uint8").run
    engine.Lanes.look_up(y.array, MARGIN + AT, entries)
    np.testing.assert_array_equal(y.result(), padded(table[indices].astype(np.int16)))
