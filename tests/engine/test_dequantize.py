"""Every stored type, dequantized by numpy and by every engine, against the package `gguf`.

To add a case: a type joins `TensorType`, and tests/support/blocks.py says where its scales are.
"""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np
import pytest
from blocks import BLOCK_TYPES, Bytes, any_blocks, expand, set_scale
from engines import Input, Output, assert_sums

from pyllama3.backends import Engine
from pyllama3.weights import Tensor, TensorType
from pyllama3.weights.types import dequantize, type_name


@pytest.mark.parametrize("type", TensorType)
def test_types_have_the_ids_and_sizes_of_ggml(type: TensorType) -> None:
    ggml_type = gguf.GGMLQuantizationType[type.name]
    assert type == ggml_type.value
    assert (type.block_size, type.block_bytes) == gguf.GGML_QUANT_SIZES[ggml_type]


@pytest.mark.parametrize("type", BLOCK_TYPES)
@pytest.mark.parametrize(("rows", "blocks"), [(1, 1), (5, 3), (300, 1)])
def test_dequantize_equals_gguf_on_any_bytes(type: TensorType, rows: int, blocks: int) -> None:
    data = any_blocks(type, rows * blocks).reshape(rows, -1)
    result = Tensor("t", type, (rows, blocks * type.block_size), (data.reshape(-1),)).dequantize()
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expand(type, data))


@pytest.mark.parametrize("type", BLOCK_TYPES)
def test_the_engine_dequantizes_like_gguf(any_engine: Engine, type: TensorType) -> None:
    rows, cols = 7, 3 * type.block_size
    data = any_blocks(type, rows * 3)
    expected = expand(type, data.reshape(rows, -1))
    tensor = engine_tensor(any_engine, type, data, rows, cols)
    for row, column, count in ((0, 0, cols), (rows - 1, 0, cols), (3, type.block_size, type.block_size)):
        y = Output(any_engine, (count,))
        tensor.dequantize(y.run, row, column, count)
        np.testing.assert_array_equal(y.result(), expected[row, column : column + count])


@pytest.mark.parametrize("type", BLOCK_TYPES)
@pytest.mark.parametrize("scale", [0, 2**-24, 1023 * 2**-24, -65504])
def test_extreme_scales(engine: Engine, type: TensorType, scale: float) -> None:
    data = any_blocks(type, 3)
    set_scale(type, data, scale)
    expected = expand(type, data.reshape(1, -1))[0]
    assert np.abs(expected).max() >= abs(scale)
    np.testing.assert_array_equal(dequantize(type, data.reshape(-1), expected.shape), expected)
    y = Output(engine, expected.shape)
    engine_tensor(engine, type, data, 1, len(expected)).dequantize(y.run, 0, 0, len(expected))
    np.testing.assert_array_equal(y.result(), expected)


@pytest.mark.parametrize("type", BLOCK_TYPES)
@pytest.mark.parametrize("count", [1, 5])
def test_the_engine_multiplies_with_every_type(any_engine: Engine, type: TensorType, count: int) -> None:
    rows, cols = 18, 256 + type.block_size  # more than a tile of rows, more columns than are expanded at a time
    data = any_blocks(type, rows * cols // type.block_size)
    exact = expand(type, data.reshape(rows, -1)).astype(np.float64)
    x = np.random.default_rng(count).normal(size=(count, cols)).astype(np.float32)
    y = Output(any_engine, (count, rows))
    activations = any_engine.Activations()
    floats = Input(any_engine, x).run
    activations.set(floats, cols)
    engine_tensor(any_engine, type, data, rows, cols).mat_mul(y.run, activations, count)
    assert_sums(y.result(), np.float64(x) @ exact.T, np.abs(x) @ np.abs(exact.T))


def engine_tensor(any_engine: Engine, type: TensorType, data: Bytes, rows: int, cols: int) -> Any:
    tensor = any_engine.Tensor()
    tensor.set(any_engine.TensorType(int(type)), rows, cols, None, None, any_engine.view(data.reshape(-1), "uint8"))
    assert any_engine.TensorType(int(type)).name == type.name
    return tensor


@pytest.mark.parametrize("type", [TensorType.F16, TensorType.BF16])
def test_every_16_bit_pattern_widens_as_in_gguf(type: TensorType) -> None:
    patterns = np.arange(1 << 16, dtype="<u2").view(np.uint8)
    with np.errstate(invalid="ignore"):  # signalling NaN
        stored = patterns.view(np.float16) if type == TensorType.F16 else patterns
        expected = gguf.dequantize(stored, gguf.GGMLQuantizationType[type.name])
        np.testing.assert_array_equal(dequantize(type, patterns, (1 << 16,)), expected)


def test_the_result_is_a_copy() -> None:
    data = np.zeros(8, np.uint8)
    result = dequantize(TensorType.F32, data, (2,))
    result[0] = 1
    assert not data.any()


def test_every_type_of_ggml_has_its_name() -> None:
    for ggml_type in gguf.GGMLQuantizationType:
        if ggml_type.value <= 40:  # newer ids may lack a name
            assert type_name(ggml_type.value) == ggml_type.name
    assert type_name(4711) == "number 4711"
