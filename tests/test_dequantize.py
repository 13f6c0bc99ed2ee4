from __future__ import annotations

import gguf
import numpy as np
import pytest

from pyllama3.weights import Tensor, TensorType
from pyllama3.weights.types import dequantize, type_name


@pytest.mark.parametrize("type", TensorType)
def test_types_have_the_ids_and_sizes_of_ggml(type: TensorType) -> None:
    ggml_type = gguf.GGMLQuantizationType[type.name]
    assert type == ggml_type.value
    assert (type.block_size, type.block_bytes) == gguf.GGML_QUANT_SIZES[ggml_type]


@pytest.mark.parametrize("type", TensorType)
@pytest.mark.parametrize(("rows", "columns"), [(1, 32), (5, 96)])
def test_dequantize_equals_gguf(type: TensorType, rows: int, columns: int) -> None:
    values = np.random.default_rng(3).standard_normal((rows, columns), np.float32)
    ggml_type = gguf.GGMLQuantizationType[type.name]
    stored = gguf.quantize(values, ggml_type)
    expected = gguf.dequantize(stored, ggml_type)
    data = stored.view(np.uint8).reshape(-1)
    result = Tensor("t", type, (rows, columns), data).dequantize()
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_allclose(result, values, atol=0.3)


@pytest.mark.parametrize("type", [TensorType.Q8_0, TensorType.Q4_0, TensorType.Q4_1])
def test_dequantize_equals_gguf_on_any_bytes(type: TensorType) -> None:
    data = np.random.default_rng(4).integers(0, 256, (300, type.block_bytes), np.uint8)
    data[:, 1] &= 0x3F  # the halves at the front must be finite to be compared
    if type == TensorType.Q4_1:
        data[:, 3] &= 0x3F
    expected = gguf.dequantize(data, gguf.GGMLQuantizationType[type.name])
    np.testing.assert_array_equal(dequantize(type, data.reshape(-1), (300, type.block_size)), expected)


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
