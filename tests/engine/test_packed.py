"""Packed matrices of every quantized type against what `gguf` makes of their bytes, in float64.

Sums are exact but for their roundings (`SUM`), in three ways:

* exact: the vectors are floats, so the products are those of the numbers themselves;
* default and fast: they are those of the vectors as they were quantized, to 16 or to 8 bits. A number of these is off
  by half a step of `scale = max / 32767` or `max / 127` (`test_activations`), so products are off from those of the
  vectors themselves by half a step times the sum of the magnitudes of the weights, block by block.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import engines
import numpy as np
import pytest
from blocks import BLOCK_TYPES, any_blocks, expand, set_scale
from engines import SUM, Batch, Floats, Matrix, Values, assert_close, built_engine, normal, pack, random_matrix

from pyllama3.backends import Engine
from pyllama3.weights import TensorType


@pytest.fixture(scope="module")
def engine(any_engine: Engine) -> Engine:
    """Also generated Python without native blocks."""
    return any_engine


BITS = [32, 16, 8]
"""Of activations: exact, default and fast."""
SHAPES = [
    (1, 32),
    (5, 96),
    (16, 288),  # more columns than are expanded at a time
    (33, 256),  # a row left over from two groups
    (37, 512),
    (84, 64),
]
"""Rows and columns; the latter are rounded up to whole blocks."""
COUNTS = [1, 2, 3, 4, 5, 15, 16, 17, 33]
"""Numbers of vectors: one, fours and a rest, and more than are multiplied together."""


@cache
def matrix(type: TensorType, rows: int, cols: int) -> Matrix:
    return random_matrix(type, rows, -(-cols // type.block_size) * type.block_size)


def packed(engine: Engine, matrix: Matrix, *, parts: int = 1) -> Any:
    tensor = matrix.tensor(engine)
    pack(engine, tensor, matrix.type, parts=parts)
    return tensor


def check(engine: Engine, matrix: Matrix, tensor: Any, x: Values, bits: int, *, parts: int = 1) -> Floats:
    """Compare products with the two that they are to be near to; return them."""
    batch = Batch(engine, x, bits)
    y = batch.multiply(tensor, len(matrix.exact), parts)
    meant = np.float64(x) if bits == 32 else batch.meant()
    rounding = SUM * np.abs(meant) @ matrix.terms.T
    assert_close(y, meant @ matrix.exact.T, rounding)
    if bits < 32:
        half_steps = 0.501 * np.float64(batch["scales"]).reshape(len(y), -1).repeat(32, axis=1)
        assert_close(y, np.float64(x) @ matrix.exact.T, rounding + half_steps @ np.abs(matrix.exact).T)
    return y


@pytest.mark.parametrize("type", BLOCK_TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_products(type: TensorType, shape: tuple[int, int]) -> None:
    engine, weights = built_engine("c"), matrix(type, *shape)
    tensor = packed(engine, weights)
    for bits in BITS:
        for count in COUNTS:
            check(engine, weights, tensor, normal(count, weights.exact.shape[1]), bits)


@pytest.mark.parametrize("type", BLOCK_TYPES)
@pytest.mark.parametrize("bits", BITS)
def test_products_of_every_engine(engine: Engine, type: TensorType, bits: int) -> None:
    weights = matrix(type, 18, 96)
    tensor = packed(engine, weights)
    for count in (1, 5):
        check(engine, weights, tensor, normal(count, weights.exact.shape[1]), bits)


@pytest.mark.parametrize("type", BLOCK_TYPES)
@pytest.mark.parametrize("bits", BITS)
def test_a_product_has_the_same_bits_whatever_stands_beside_it(type: TensorType, bits: int) -> None:
    engine, weights = built_engine("c"), matrix(type, 37, 288)
    x = normal(33, weights.exact.shape[1])
    tensor = packed(engine, weights)
    everything = check(engine, weights, tensor, x, bits)
    for count in (1, 2, 3, 4, 7, 16, 32):
        for parts in range(1, 6):
            tensor = packed(engine, weights, parts=parts)
            np.testing.assert_array_equal(
                Batch(engine, x[:count], bits).multiply(tensor, 37, parts), everything[:count]
            )
            np.testing.assert_array_equal(
                Batch(engine, x[-count:], bits).multiply(tensor, 37, parts), everything[-count:]
            )


@pytest.mark.parametrize("type", BLOCK_TYPES)
def test_any_bytes(type: TensorType) -> None:
    """Numbers that no quantizer makes: the largest of every field, of blocks and of their parts."""
    engine, cols = built_engine("c"), 2 * max(type.block_size, 128)
    data = any_blocks(type, 37 * cols // type.block_size)
    data[:64:2, 4:] = 255  # blocks of ones, scales aside
    data[1:64:2, 4:] = 0
    set_scale(type, data, 0.25)
    data = data.reshape(37, -1)
    exact = expand(type, data).astype(np.float64)
    weights = Matrix(type, data.reshape(-1), exact)
    tensor = packed(engine, weights)
    for bits in BITS:
        for x in extremes(cols):
            check(engine, weights, tensor, x, bits)


def extremes(cols: int) -> list[Floats]:
    """Return batches of vectors with the largest integers, at which sums of 16 bits overflow."""
    vectors = [np.full(cols, 1), np.full(cols, -1), np.resize([1, -1], cols), np.resize([1, 1, -1, -1], cols)]
    return [np.tile(vector, (count, 1)).astype(np.float32) for vector in vectors for count in (1, 4)]


@pytest.mark.parametrize("type", BLOCK_TYPES)
@pytest.mark.parametrize("scale", [0, 2**-24, 1023 * 2**-24, -1.0, 2000])
def test_extreme_scales(type: TensorType, scale: float) -> None:
    engine = built_engine("c")
    data = any_blocks(type, 32)
    set_scale(type, data, scale)
    data = data.reshape(16, -1)
    weights = Matrix(type, data.reshape(-1), expand(type, data).astype(np.float64))
    tensor = packed(engine, weights)
    for bits in BITS:
        check(engine, weights, tensor, normal(5, weights.exact.shape[1]), bits)


@pytest.mark.parametrize("type", BLOCK_TYPES)
@pytest.mark.parametrize("bits", BITS)
def test_large_activations_beside_minimums(type: TensorType, bits: int) -> None:
    """A block of activations may sum to far more than 2^16, the room beside the factor 2^112 of half scales."""
    engine, weights = built_engine("c"), matrix(type, 32, 64)
    x = np.full((1, weights.exact.shape[1]), 3e4, np.float32)
    assert np.isfinite(check(engine, weights, packed(engine, weights), x, bits)).all()


@pytest.mark.parametrize("bits", BITS)
def test_a_bias_is_added_to_each_product(engine: Engine, bits: int) -> None:
    weights, bias = matrix(TensorType.Q4_0, 37, 64), normal(37)
    x, tensor = normal(3, 64), packed(engine, weights)
    plain = Batch(engine, x, bits).multiply(tensor, 37)
    tensor.set_bias(engines.Input(engine, bias).run)
    np.testing.assert_array_equal(Batch(engine, x, bits).multiply(tensor, 37), plain + bias)
    np.testing.assert_array_equal(Batch(engine, x, bits).multiply(tensor, 37, 3), plain + bias)
    tensor.set_bias(None)
    np.testing.assert_array_equal(Batch(engine, x, bits).multiply(tensor, 37), plain)


@pytest.mark.parametrize("type", BLOCK_TYPES)
def test_a_tensor_can_be_set_again(engine: Engine, type: TensorType) -> None:
    tensor = packed(engine, matrix(TensorType.Q4_1, 64, 32))
    weights = matrix(type, 32, 64)
    weights.tensor(engine, tensor)
    x = normal(1, weights.exact.shape[1])
    check(engine, weights, tensor, x, 32)  # as stored
    pack(engine, tensor, type)
    check(engine, weights, tensor, x, 16)


@pytest.mark.parametrize(
    ("type", "bits_per_weight"),
    [(TensorType.Q4_0, 4.5), (TensorType.Q5_1, 7), (TensorType.Q8_0, 8.5), (TensorType.Q4_K, 4.625)],
)
def test_what_packing_takes(engine: Engine, type: TensorType, bits_per_weight: float) -> None:
    """Whole groups of 16 rows; minimums and scales beside the bits of numbers."""
    for rows, groups in ((16, 1), (17, 2), (33, 3)):
        length = matrix(type, rows, 256).tensor(engine).get_packed_length()
        assert length * 16 == groups * 16 * 256 * bits_per_weight
