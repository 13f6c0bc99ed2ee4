"""Matrices as they are stored, and packed ones of floating-point types; `test_packed` has the quantized ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import SUM, Batch, Floats, Input, Matrix, Output, assert_close, built_engine, normal, pack, random_matrix

from pyllama3.backends import Engine
from pyllama3.weights import TensorType


@pytest.fixture(scope="module")
def engine(any_engine: Engine) -> Engine:
    """Also generated Python without native blocks."""
    return any_engine


FLOAT_TYPES = tuple(type for type in TensorType if type.block_size == 1)
SHAPES = [(1, 32), (5, 1), (16, 31), (33, 257), (37, 96), (84, 513)]
"""Rows and columns: groups of 32 and 16 rows and what is left, chunks of 256 columns and what is left."""
COUNTS = [1, 2, 3, 4, 5, 9, 33]
"""Numbers of vectors: up to three take other kernels than more do."""


def check(engine: Engine, matrix: Matrix, tensor: Any, count: int, *, bits: int = 32, parts: int = 1) -> Floats:
    """Compare products with those in float64; return them."""
    x = normal(count, matrix.exact.shape[1])
    y = Batch(engine, x, bits).multiply(tensor, len(matrix.exact), parts)
    assert_close(y, np.float64(x) @ matrix.exact.T, SUM * np.abs(x) @ matrix.terms.T)
    return y


def packed(engine: Engine, matrix: Matrix, *, parts: int = 1) -> Any:
    tensor = matrix.tensor(engine)
    pack(engine, tensor, matrix.type, parts=parts)
    return tensor


@pytest.mark.parametrize("type", TensorType)
def test_as_stored(engine: Engine, type: TensorType) -> None:
    matrix = random_matrix(type, 33, -(-288 // type.block_size) * type.block_size)
    tensor = matrix.tensor(engine)
    for count, parts in ((1, 1), (1, 2), (5, 3)):
        check(engine, matrix, tensor, count, parts=parts)


@pytest.mark.parametrize("type", FLOAT_TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_packed_floats(type: TensorType, shape: tuple[int, int]) -> None:
    engine, matrix = built_engine("c"), random_matrix(type, *shape)
    for parts in range(1, 6):
        tensor = packed(engine, matrix, parts=parts)
        for count in COUNTS:
            check(engine, matrix, tensor, count, parts=parts)


@pytest.mark.parametrize("type", FLOAT_TYPES)
@pytest.mark.parametrize("shape", [(5, 1), (33, 32), (18, 257)])
def test_packed_floats_of_every_engine(engine: Engine, type: TensorType, shape: tuple[int, int]) -> None:
    matrix = random_matrix(type, *shape)
    for count in (1, 5):
        for bits in (32, 16):  # which is for quantized matrices only
            check(engine, matrix, packed(engine, matrix), count, bits=bits)


@pytest.mark.parametrize("type", FLOAT_TYPES)
def test_a_product_has_the_same_bits_whatever_stands_beside_it(type: TensorType) -> None:
    engine, matrix, x = built_engine("c"), random_matrix(type, 84, 513), normal(33, 513)
    everything = Batch(engine, x).multiply(packed(engine, matrix), 84)
    for parts in range(1, 6):
        tensor = packed(engine, matrix, parts=parts)
        for count in (1, 2, 3, 4, 5, 7, 32):
            np.testing.assert_array_equal(Batch(engine, x[:count]).multiply(tensor, 84, parts), everything[:count])
            np.testing.assert_array_equal(Batch(engine, x[-count:]).multiply(tensor, 84, parts), everything[-count:])


@pytest.mark.parametrize("type", FLOAT_TYPES)
def test_extreme_numbers(engine: Engine, type: TensorType) -> None:
    """The smallest of all numbers that 16 bits hold, and the largest."""
    values = {TensorType.F16: [2.0**-24, 65504, -(2.0**-15)], TensorType.BF16: [2.0**-126, 2.0**100, -(2.0**-120)]}
    numbers = np.resize(values.get(type, [2.0**-126, 2.0**100, -1]), (33, 32)).astype(np.float32)
    if type == TensorType.F16:
        data = numbers.astype(np.float16).view(np.uint8)
    elif type == TensorType.BF16:
        data = (numbers.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    else:
        data = numbers.view(np.uint8)
    matrix = Matrix(type, data.reshape(-1), np.float64(numbers))
    identity = np.eye(32, dtype=np.float32)
    for tensor in (matrix.tensor(engine), packed(engine, matrix)):
        for rows in (identity[:1], identity):
            np.testing.assert_array_equal(Batch(engine, rows).multiply(tensor, 33), numbers.T[: len(rows)])


@pytest.mark.parametrize("type", TensorType)
def test_a_bias_is_added_to_each_product(engine: Engine, type: TensorType) -> None:
    matrix, bias, count = random_matrix(type, 37, type.block_size * 2), normal(37), 2
    tensor = matrix.tensor(engine)
    plain = check(engine, matrix, tensor, count)
    tensor.set_bias(Input(engine, bias).run)
    x = Batch(engine, normal(count, matrix.exact.shape[1]))
    for parts in (1, 3):
        np.testing.assert_array_equal(x.multiply(tensor, 37, parts), plain + bias)


@pytest.mark.parametrize("parts", range(1, 6))
def test_parts_are_multiples_of_32_rows(engine: Engine, parts: int) -> None:
    """Whatever they are, they follow each other, and none writes what another one does."""
    matrix = random_matrix(TensorType.Q8_0, 150, 32)
    tensor, x = packed(engine, matrix), Batch(engine, normal(2, 32), 16)
    writers = np.zeros((2, 150), int)
    ends = [0]
    for part in range(parts):
        y = Output(engine, (2, 150))
        tensor.mat_mul_part(y.run, x.core, 2, part, parts)
        written = ~np.isnan(y.result())
        writers += written
        ends += [int(np.flatnonzero(written[0])[-1]) + 1] if written.any() else []
    assert (writers == 1).all()
    assert ends[-1] == 150
    assert all(end % 32 == 0 for end in ends[:-1])


def test_no_vectors_are_nothing_to_do(engine: Engine) -> None:
    matrix = random_matrix(TensorType.F32, 4, 32)
    y = Output(engine, (4,))
    activations = engine.Activations()
    activations.set(Input(engine, normal(1, 32)).run, 32)
    matrix.tensor(engine).mat_mul(y.run, activations, 0)
    assert np.isnan(y.result()).all()


@pytest.mark.parametrize("type", FLOAT_TYPES)
@pytest.mark.parametrize(("row", "column", "count"), [(0, 0, 96), (2, 0, 31), (2, 65, 31), (4, 32, 64)])
def test_dequantize(engine: Engine, type: TensorType, row: int, column: int, count: int) -> None:
    matrix = random_matrix(type, 5, 96)
    y = Output(engine, (count,))
    matrix.tensor(engine).dequantize(y.run, row, column, count)
    np.testing.assert_array_equal(y.result(), matrix.exact[row, column : column + count])
