"""Matrices of every stored type, multiplied on every path: by one vector or many, packed or not, in 1 to 3 threads."""

from __future__ import annotations

from typing import Any

import engines
import numpy as np
import pytest
from engines import PACKED_TYPES, TYPES, Floats, Input, Output, assert_sums, make_tensor, pack
from gguf import GGMLQuantizationType as GgmlType

from pyllama3.backends import Engine

engine = engines.engine

SHAPES = [
    (1, 32),
    (15, 64),  # fewer rows than a tile has
    (16, 32),
    (33, 288),  # a row left over from packing, more columns than are expanded at a time
    (70, 96),  # two packed groups for three threads
    (40, 544),
]
BATCHES = [(1, 1), (1, 2), (1, 3), (2, 1), (3, 2), (4, 1), (4, 2), (4, 3), (5, 3), (9, 2)]
"""Numbers of vectors and of threads."""
THREADS = (1, 2, 3)


def normal(*shape: int) -> Floats:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def multiply(engine: Engine, tensor: Any, x: Floats, rows: int, threads: int) -> Floats:
    y = Output(engine, (len(x), rows))
    tensor.mat_mul(y.run, Input(engine, x).run, len(x), threads)
    return y.result()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("packed", [False, True])
def test_mat_mul(engine: Engine, kind: GgmlType, shape: tuple[int, int], packed: bool) -> None:
    tensor, exact = make_tensor(engine, kind, normal(*shape))
    if packed:
        pack(engine, tensor, threads=2)
    for count, threads in BATCHES:
        x = normal(count, shape[1])
        result = multiply(engine, tensor, x, shape[0], threads)
        assert_sums(result, np.float64(x) @ exact.T, np.abs(x) @ np.abs(exact.T))


@pytest.mark.parametrize("kind", [GgmlType.F32, GgmlType.F16, GgmlType.BF16])
@pytest.mark.parametrize("cols", [1, 31, 257])
def test_mat_mul_of_types_without_blocks_takes_any_width(engine: Engine, kind: GgmlType, cols: int) -> None:
    tensor, exact = make_tensor(engine, kind, normal(18, cols))
    for count in (1, 4):
        x = normal(count, cols)
        assert_sums(multiply(engine, tensor, x, 18, 2), np.float64(x) @ exact.T, np.abs(x) @ np.abs(exact.T))


@pytest.mark.parametrize("kind", PACKED_TYPES)
def test_packing_with_any_number_of_threads_gives_the_same(engine: Engine, kind: GgmlType) -> None:
    results = []
    for threads in THREADS:
        tensor, _ = make_tensor(engine, kind, normal(130, 64))
        pack(engine, tensor, threads)
        results.append(multiply(engine, tensor, normal(1, 64), 130, 1))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("kind", TYPES)
def test_a_tensor_can_be_set_again(engine: Engine, kind: GgmlType) -> None:
    tensor, _ = make_tensor(engine, GgmlType.Q4_1, normal(64, 32))
    pack(engine, tensor, 1)
    _, exact = make_tensor(engine, kind, normal(32, 64), tensor)
    x = normal(1, 64)
    assert_sums(multiply(engine, tensor, x, 32, 1), np.float64(x) @ exact.T, np.abs(x) @ np.abs(exact.T))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(("row", "column", "count"), [(0, 0, 96), (2, 0, 32), (2, 64, 32), (4, 32, 64)])
def test_dequantize(engine: Engine, kind: GgmlType, row: int, column: int, count: int) -> None:
    tensor, exact = make_tensor(engine, kind, normal(5, 96))
    y = Output(engine, (count,))
    tensor.dequantize(y.run, row, column, count)
    np.testing.assert_array_equal(y.result(), exact[row, column : column + count])


@pytest.mark.parametrize("kind", [GgmlType.F32, GgmlType.F16, GgmlType.BF16])
def test_only_quantized_types_are_packed(engine: Engine, kind: GgmlType) -> None:
    tensor, _ = make_tensor(engine, kind, normal(64, 32))
    assert tensor.get_quants_length() == 0


@pytest.mark.parametrize("kind", PACKED_TYPES)
def test_whole_groups_of_32_rows_are_packed(engine: Engine, kind: GgmlType) -> None:
    lengths = []
    for rows in (31, 32, 63, 64):
        tensor, _ = make_tensor(engine, kind, normal(rows, 64))
        lengths.append((tensor.get_quants_length(), tensor.get_scales_length(), tensor.get_minimums_length()))
    assert lengths[0] == (0, 0, 0)
    assert lengths[1] == lengths[2]
    assert lengths[3] == tuple(2 * length for length in lengths[1])
    assert lengths[1][1] == 32 * 64 // 32
    assert lengths[1][2] == (lengths[1][1] if kind == GgmlType.Q4_1 else 0)
