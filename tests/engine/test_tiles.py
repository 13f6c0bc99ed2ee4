"""Products of floats with tiles, against numpy, and against each other to the last bit."""

from __future__ import annotations

from typing import Any

import engines
import numpy as np
import numpy.typing as npt
import pytest
from engines import MARGIN, Floats, Input, Output, assert_sums, normal

from pyllama3.backends import Engine


@pytest.fixture(scope="module")
def engine(any_engine: Engine) -> Engine:
    """Also generated Python without native blocks."""
    return any_engine


COLS = [1, 2, 3, 50, 96]
GAP = 3
"""Numbers between the sums of two vectors, which stay as they are."""


def vectors(cols: int) -> Floats:
    """Return 4 vectors, and behind each some numbers not to be read."""
    x = normal(4, cols + 5)
    x[:, cols:] = np.nan
    return x


def rounded(tile: Floats, kind: str) -> tuple[Floats, npt.NDArray[Any]]:
    """Return the numbers of a tile that 16 bits can hold, and these bits."""
    if kind == "f16":
        halves = tile.astype(np.float16)
        return halves.astype(np.float32), halves.view(np.int16)
    bits = tile.view(np.uint32) >> 16
    return (bits << 16).view(np.float32), bits.astype(np.uint16).view(np.int16)


def expected(y: Floats, tile: Floats, x: Floats) -> tuple[Any, Any]:
    """Return the sums (vectors, lanes) that products are added to, and their magnitudes."""
    cols, lanes = tile.shape
    flat = np.float64(x[:, :cols])
    return y[:, :lanes] + flat @ tile, np.abs(y[:, :lanes]) + np.abs(flat) @ np.abs(tile)


def multiply4(engine: Engine, y: Floats, tile: Floats, x: Floats) -> Floats:
    sums, (cols, _) = Output(engine, y), tile.shape
    weights = np.concatenate([tile, np.zeros((1, 16), np.float32)])  # which may be read, but does not count
    arrays = Input(engine, weights).run, Input(engine, x).array
    engine.Tiles.multiply4(sums.array, MARGIN, y.shape[1], *arrays, MARGIN, x.shape[1], cols)
    return sums.result()


def multiply1(engine: Engine, y: Floats, tile: Floats, x: Floats) -> Floats:
    results = []
    for start, vector in zip(y, x, strict=True):
        sums = Output(engine, start)
        weights = Input(engine, tile).run  # NaN follows
        engine.Tiles.multiply1(sums.array, MARGIN, weights, Input(engine, vector).array, MARGIN, len(tile))
        results.append(sums.result())
    return np.array(results)


def halves4(engine: Engine, y: Floats, bits: npt.NDArray[Any], x: Floats) -> Floats:
    """Multiply columns of 16 lanes that lie among others."""
    sums, (cols, lanes) = Output(engine, y), bits.shape
    among = np.full((cols, lanes + GAP), 0x7C01, np.int16)  # NaN
    among[:, :lanes] = bits
    weights, flat = Input(engine, among, "int16").array, Input(engine, x).array
    engine.Tiles.multiply_halves4(
        sums.array, MARGIN, y.shape[1], weights, MARGIN, lanes + GAP, flat, MARGIN, x.shape[1], cols
    )
    return sums.result()


def halves1(engine: Engine, y: Floats, bits: npt.NDArray[Any], x: Floats, *, is_bf16: bool) -> Floats:
    """Multiply columns of 32 lanes that lie among others."""
    results = []
    cols, lanes = bits.shape
    among = np.full((cols, lanes + GAP), 0x7FC1, np.int16)
    among[:, :lanes] = bits
    weights = Input(engine, among, "int16").array
    for start, vector in zip(y, x, strict=True):
        sums = Output(engine, start)
        flat = Input(engine, vector).array
        engine.Tiles.multiply_halves1(
            sums.array, MARGIN, weights, MARGIN, lanes + GAP, is_bf16, flat, MARGIN, cols
        )  # fmt: skip
        results.append(sums.result())
    return np.array(results)


def check(actual: Floats, y: Floats, tile: Floats, x: Floats) -> None:
    lanes = tile.shape[1]
    assert_sums(actual[:, :lanes], *expected(y, tile, x))
    np.testing.assert_array_equal(actual[:, lanes:], y[:, lanes:])


@pytest.mark.parametrize("cols", COLS)
def test_a_tile_and_4_vectors(engine: Engine, cols: int) -> None:
    y, tile, x = normal(4, 16 + GAP), normal(cols, 16), vectors(cols)
    check(multiply4(engine, y, tile, x), y, tile, x)


@pytest.mark.parametrize("cols", COLS)
def test_a_tile_and_a_vector(engine: Engine, cols: int) -> None:
    y, tile, x = normal(4, 16 + GAP), normal(cols, 16), vectors(cols)
    check(multiply1(engine, y, tile, x), y, tile, x)


@pytest.mark.parametrize("cols", COLS)
@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_32_lanes_of_16_bits_and_a_vector(engine: Engine, cols: int, kind: str) -> None:
    y, x = normal(4, 32 + GAP), vectors(cols)
    tile, bits = rounded(normal(cols, 32), kind)
    check(halves1(engine, y, bits, x, is_bf16=kind == "bf16"), y, tile, x)


@pytest.mark.parametrize("cols", COLS)
def test_16_lanes_of_halves_and_4_vectors(engine: Engine, cols: int) -> None:
    y, x = normal(4, 16 + GAP), vectors(cols)
    tile, bits = rounded(normal(cols, 16), "f16")
    check(halves4(engine, y, bits, x), y, tile, x)


@pytest.mark.parametrize("cols", COLS)
def test_one_order_of_additions(cols: int) -> None:
    """The engine may take any of these products for a row, depending on what stands beside it."""
    engine = engines.built_engine("c")
    y, x = np.zeros((4, 16), np.float32), vectors(cols)
    left, left_bits = rounded(normal(cols, 16), "f16")
    right, right_bits = rounded(normal(cols, 16, seed=2), "f16")
    both = np.zeros((4, 32), np.float32)
    wide = halves1(engine, both, np.concatenate([left_bits, right_bits], axis=1), x, is_bf16=False)
    for tile, bits, lanes in ((left, left_bits, slice(0, 16)), (right, right_bits, slice(16, 32))):
        one = multiply1(engine, y, tile, x)
        np.testing.assert_array_equal(one, multiply4(engine, y, tile, x))
        np.testing.assert_array_equal(one, halves4(engine, y, bits, x))
        np.testing.assert_array_equal(one, wide[:, lanes])
    tile, bits = rounded(normal(cols, 32), "bf16")
    wide = halves1(engine, both, bits, x, is_bf16=True)
    for lanes in (slice(0, 16), slice(16, 32)):
        np.testing.assert_array_equal(multiply4(engine, y, np.ascontiguousarray(tile[:, lanes]), x), wide[:, lanes])
