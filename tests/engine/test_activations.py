"""Vectors quantized in blocks of 32, to 16 and to 8 bits."""

from __future__ import annotations

import engines
import numpy as np
import pytest
from engines import ELEMENTWISE, Batch, assert_close, normal
from hypothesis import given
from hypothesis import strategies as st

from pyllama3.backends import Engine


@pytest.fixture(scope="module")
def engine(any_engine: Engine) -> Engine:
    """Also generated Python without native blocks."""
    return any_engine


BITS = [8, 16]
TOP = {8: 127, 16: 32767}
LEAST = np.float32(1e-33)
"""Blocks of smaller numbers become zeros, see `Activations`."""
ORDER = [0, 4, 1, 5, 2, 6, 3, 7]
"""Columns of 8 in the order of `Bytes`: as packed words have them, in fours two apart."""


@pytest.mark.parametrize("bits", BITS)
@given(st.lists(st.floats(-1000, 1000, width=32), min_size=32, max_size=32), st.sampled_from([1.0, 1e-6, 1e6]))
def test_a_block(engine: Engine, bits: int, numbers: list[float], size: float) -> None:
    x = np.array(numbers, np.float32) * np.float32(size)
    batch = Batch(engine, x[None], bits)
    scale, quants = float(batch["scales"][0]), batch["quants"].astype(int)
    largest = np.abs(x).max()
    assert_close(scale, largest / TOP[bits], ELEMENTWISE * largest)
    if largest > LEAST:
        # half a step, and what the inverse of the scale and the product with it are off by
        assert_close(batch.meant()[0], x, scale * (0.5 + TOP[bits] * 4 * engines.ROUNDING))
        assert np.abs(quants).max() == TOP[bits]
    expected = scale * quants.reshape(2, 16).sum(axis=1)
    assert_close(batch["sums"], expected, ELEMENTWISE * np.abs(expected))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("top", [1e-30, 3e-37, 1e-38, 1e-44])  # the inverse of the scale would be beyond float32
def test_a_block_of_next_to_nothing(engine: Engine, bits: int, top: float) -> None:
    x = np.zeros((1, 32), np.float32)
    x[0, [3, 4, 5]] = top, -top, top
    batch = Batch(engine, x, bits)  # the sanitizers notice if its sum overflows
    assert_close(batch.meant(), x, top)
    assert_close(batch["sums"], batch.meant().reshape(2, 16).sum(axis=1), top * 2.0**-20)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("top", [1.0, 3e38])
def test_the_largest_numbers(engine: Engine, bits: int, top: float) -> None:
    batch = Batch(engine, np.resize([top, -top], (1, 64)), bits)
    assert batch["quants"].tolist() == [TOP[bits], -TOP[bits]] * 32
    assert not batch["sums"].any()
    batch = Batch(engine, np.full((1, 32), -1.0), bits)
    assert_close(batch["sums"], [-16, -16], 16 * ELEMENTWISE)


@pytest.mark.parametrize("bits", BITS)
def test_zeros_stay_zero(engine: Engine, bits: int) -> None:
    batch = Batch(engine, np.zeros((2, 64)), bits)
    assert not any(batch[name].any() for name in batch.memory)


def test_bytes_are_the_same_numbers_in_another_order(engine: Engine) -> None:
    batch = Batch(engine, normal(2, 64), 8)
    quants = batch["quants"].reshape(-1, 8)
    # fours of a packed word: columns 0, 4, 1, 5 and then 2, 6, 3, 7
    np.testing.assert_array_equal(batch["bytes"].reshape(-1, 8), quants[:, ORDER])


@pytest.mark.parametrize("bits", BITS)
def test_a_range_of_vectors(engine: Engine, bits: int) -> None:
    x = normal(4, 64)
    everything = Batch(engine, x, bits)
    batch = Batch(engine, x, bits, quantize=False)
    batch.core.quantize(1, 3)
    for name in batch.memory:
        found, expected = (owner[name].reshape(4, -1) for owner in (batch, everything))
        assert (found[[0, 3]] == 3).all()
        np.testing.assert_array_equal(found[1:3], expected[1:3])


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_what_is_not_whole_blocks_stays_as_it_is(engine: Engine, bits: int) -> None:
    batch = Batch(engine, normal(2, 48), bits)
    assert all((batch[name] == 3).all() for name in batch.memory)
