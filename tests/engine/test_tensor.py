"""Matrices of every stored type, multiplied on every path: as stored, packed, and packed with 8-bit activations.

The witness is numpy on what `gguf` unpacks. To add a case: a type in the lists at the top, or a shape in `SHAPES`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import SUM, Floats, Input, Matrix, Output, Values, assert_close, normal, pack, packed_arrays, random_matrix
from gguf import GGMLQuantizationType as GgmlType
from gguf.quants import dequantize, quantize

from pyllama3.backends import Engine
from pyllama3.weights import TensorType

FLOAT_TYPES = tuple(type for type in TensorType if type.block_size == 1)
TYPES_PACKED_FOR_FLOATS = (TensorType.Q4_0, TensorType.Q4_1, TensorType.Q8_0)
SHAPES = [
    (1, 32),
    (15, 64),  # fewer rows than a tile has
    (16, 32),
    (33, 288),  # a row left over from packing, more columns than are expanded at a time
    (84, 96),  # two packed groups for three threads, and a tile and a bit left over
    (17, 544),
]
"""Rows and columns; the latter are rounded up to whole blocks."""
BATCHES = [(1, 1), (1, 3), (3, 2), (4, 3), (5, 1), (9, 2)]
"""Numbers of vectors and of threads."""


def make_matrix(type: TensorType, shape: tuple[int, int]) -> Matrix:
    rows, cols = shape
    return random_matrix(type, rows, -(-cols // type.block_size) * type.block_size)


class Batch:
    """Activations of the engine."""

    def __init__(self, engine: Engine, x: Floats, *, quantized: bool = False) -> None:
        self.engine = engine
        self.count, self.cols = x.shape
        self.core = engine.Activations()
        if quantized:
            dtypes = ("int8", x.size), ("float32", x.size // 32), ("float32", x.size // 16)
            self.memory = [Output(engine, np.zeros(length), dtype) for dtype, length in dtypes]
            self.core.set_quantized(*(output.run for output in self.memory))
        self.core.set(Input(engine, x).run, self.cols)
        self.core.quantize(0, self.count)

    def quantized(self) -> Values:
        """Return what the quantized vectors mean."""
        quants, scales, _ = (np.float64(output.result()) for output in self.memory)
        return (quants.reshape(-1, 32) * scales[:, None]).reshape(self.count, self.cols)

    def multiply(self, tensor: Any, rows: int, threads: int) -> Floats:
        y = Output(self.engine, (self.count, rows))
        tensor.mat_mul(y.run, self.core, self.count, threads)
        return y.result()


@pytest.mark.parametrize("type", TensorType)
@pytest.mark.parametrize("shape", SHAPES)
def test_as_stored_or_packed(engine: Engine, type: TensorType, shape: tuple[int, int]) -> None:
    matrix = make_matrix(type, shape)
    stored, packed = matrix.tensor(engine), matrix.tensor(engine)
    tensors = [stored, packed] if pack(engine, packed, exact=True) else [stored]
    for tensor in tensors:
        for count, threads in BATCHES:
            x = normal(count, matrix.exact.shape[1])
            y = Batch(engine, x).multiply(tensor, shape[0], threads)
            assert_close(y, np.float64(x) @ matrix.exact.T, SUM * np.abs(x) @ matrix.terms.T)


@pytest.mark.parametrize("type", TensorType)
@pytest.mark.parametrize("shape", [(32, 32), (84, 288)])
def test_packed_with_8_bit_activations(engine: Engine, type: TensorType, shape: tuple[int, int]) -> None:
    matrix = make_matrix(type, shape)
    tensor = matrix.tensor(engine)
    is_packed = pack(engine, tensor, exact=False)
    assert is_packed or type in FLOAT_TYPES or type.name.startswith(("IQ", "TQ"))
    for count, threads in BATCHES:
        x = normal(count, matrix.exact.shape[1])
        batch = Batch(engine, x, quantized=True)
        y = batch.multiply(tensor, shape[0], threads)
        # An engine may use floats where these are as fast, and does so for rows that are not packed.
        expected, from_floats = (np.float64(vectors) @ matrix.exact.T for vectors in (batch.quantized(), x))
        nearest = np.where(np.abs(y - expected) < np.abs(y - from_floats), expected, from_floats)
        assert_close(y, nearest, SUM * np.abs(x) @ matrix.terms.T)
        if is_packed and count == 1:
            assert np.sum((y - expected)[:, :32] ** 2) < 0.1 * np.sum((y - from_floats)[:, :32] ** 2)


@pytest.mark.parametrize("type", FLOAT_TYPES)
@pytest.mark.parametrize("cols", [1, 31, 257])
def test_types_without_blocks_have_any_width(engine: Engine, type: TensorType, cols: int) -> None:
    matrix = random_matrix(type, 18, cols)
    for count in (1, 4):
        x = normal(count, cols)
        for quantized in (False, True):  # which needs whole blocks, and is not done otherwise
            y = Batch(engine, x, quantized=quantized).multiply(matrix.tensor(engine), 18, 2)
            assert_close(y, np.float64(x) @ matrix.exact.T, SUM * np.abs(x) @ matrix.terms.T)


@pytest.mark.parametrize("type", TensorType)
def test_the_number_of_threads_that_pack_changes_nothing(engine: Engine, type: TensorType) -> None:
    matrix = make_matrix(type, (130, 64))
    x = Batch(engine, normal(1, matrix.exact.shape[1]), quantized=True)
    results = []
    for threads in (1, 2, 3):
        tensor = matrix.tensor(engine)
        pack(engine, tensor, exact=False, threads=threads)
        results.append(x.multiply(tensor, 130, 1))
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


@pytest.mark.parametrize("type", TensorType)
def test_a_tensor_can_be_set_again(engine: Engine, type: TensorType) -> None:
    tensor = random_matrix(TensorType.Q4_1, 64, 32).tensor(engine)
    pack(engine, tensor, exact=True)
    matrix = make_matrix(type, (32, 64))
    matrix.tensor(engine, tensor)
    x = normal(1, matrix.exact.shape[1])
    y = Batch(engine, x).multiply(tensor, 32, 1)
    assert_close(y, np.float64(x) @ matrix.exact.T, SUM * np.abs(x) @ matrix.terms.T)


@pytest.mark.parametrize("type", FLOAT_TYPES)
@pytest.mark.parametrize(("row", "column", "count"), [(0, 0, 96), (2, 0, 31), (2, 65, 31), (4, 32, 64)])
def test_dequantize(engine: Engine, type: TensorType, row: int, column: int, count: int) -> None:
    matrix = random_matrix(type, 5, 96)
    y = Output(engine, (count,))
    matrix.tensor(engine).dequantize(y.run, row, column, count)
    np.testing.assert_array_equal(y.result(), matrix.exact[row, column : column + count])


@pytest.mark.parametrize("type", TensorType)
def test_whole_groups_of_32_rows_are_packed(engine: Engine, type: TensorType) -> None:
    def lengths(rows: int, exact: bool) -> list[int]:
        tensor = make_matrix(type, (rows, 64)).tensor(engine)
        return [length for length, _ in packed_arrays(tensor, exact=exact)]

    assert lengths(31, False) == [0, 0, 0, 0]
    assert lengths(32, False) == lengths(63, False)
    assert lengths(64, False) == [2 * length for length in lengths(32, False)]
    assert lengths(32, True)[0] == (lengths(32, False)[0] if type in TYPES_PACKED_FOR_FLOATS else 0)


def test_a_range_of_vectors_is_quantized(engine: Engine) -> None:
    x = normal(4, 64)
    batch = Batch(engine, x, quantized=True)
    everything = batch.quantized()
    memory = [
        Output(engine, np.zeros(length), dtype) for dtype, length in (("int8", 256), ("float32", 8), ("float32", 16))
    ]
    batch.core.set_quantized(*(output.run for output in memory))
    batch.core.quantize(1, 3)
    quants, scales, sums = (output.result() for output in memory)
    assert not quants[:64].any()
    assert not quants[192:].any()
    np.testing.assert_array_equal(
        (quants.reshape(-1, 32) * np.float64(scales)[:, None]).reshape(4, 64)[1:3], everything[1:3]
    )
    assert np.flatnonzero(sums).tolist() == list(range(4, 12))


def test_large_activations_do_not_overflow_beside_minimums(engine: Engine) -> None:
    """A block of activations may sum to far more than 2^16, the room beside the factor 2^112 of half scales."""
    rows, cols = 32, 64
    blocks = quantize(np.random.default_rng(1).normal(size=(rows, cols)).astype(np.float32), GgmlType.Q4_1)
    x = np.full((1, cols), 3e4, np.float32)
    tensor = engine.Tensor()
    tensor.set(engine.TensorType.Q4_1, rows, cols, None, None, engine.view(blocks.reshape(-1), "uint8"))
    words, scales, minimums, _ = (engine.empty(dtype, n) for n, dtype in packed_arrays(tensor, exact=False))
    tensor.pack(words, scales, minimums, None, 1)
    activations = engine.Activations()
    activations.set(engine.view(x.reshape(-1).view(np.uint8), "float32"), cols)
    activations.set_quantized(engine.empty("int8", cols), engine.empty("float32", 2), engine.empty("float32", 4))
    activations.quantize(0, 1)
    y = engine.empty("float32", rows)
    tensor.mat_mul(y, activations, 1, 1)
    expected = dequantize(blocks, GgmlType.Q4_1).astype(np.float64) @ x[0]
    np.testing.assert_allclose(engine.numpy(y, "float32"), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
