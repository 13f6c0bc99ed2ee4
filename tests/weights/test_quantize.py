"""Quantizers: bits are those of ggml's reference as `gguf` has it, errors no larger than those of llama.cpp.

To add a case: numbers in `NUMBERS`; errors of llama.cpp come from tests/data/make_llama_cpp_errors.py.
"""

from __future__ import annotations

import json

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from blocks import ggml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from paths import DATA
from quantizer_errors import MEASURES, NUMBERS, QUANTIZED_TYPES, Floats, random_numbers, squared_error
from tiny_models import tiny_config

from pyllama3.weights import TensorType
from pyllama3.weights.convert.mixtures import MIXTURES
from pyllama3.weights.convert.quantize import quantize
from pyllama3.weights.layout import OUTPUT, expected_shapes
from pyllama3.weights.types import dequantize

WRITTEN = [TensorType.F32, TensorType.F16, TensorType.BF16, *QUANTIZED_TYPES]
EXACT = [type for type in WRITTEN if not type.name.startswith("IQ") and not type.name.endswith("_K")]
"""Types whose bits ggml's reference determines."""
SEARCHED = [type for type in WRITTEN if type not in EXACT]


@pytest.mark.parametrize("type", EXACT)
@pytest.mark.parametrize("kind", NUMBERS)
def test_bits_are_those_of_the_reference(type: TensorType, kind: str) -> None:
    values = random_numbers(kind)
    np.testing.assert_array_equal(quantize(type, values), gguf.quantize(values, ggml(type)).view(np.uint8).reshape(-1))


@pytest.mark.parametrize("type", EXACT)
@settings(deadline=None, max_examples=60)
@given(
    values=arrays(
        np.float32,
        (2, 32),
        # below that, the reference turns infinities into integers, in which processors differ
        elements=st.floats(-60000, 60000, width=32).filter(lambda x: abs(x) > 1e-30) | st.sampled_from([0, 1, -1, 0.5]),
    )
)
def test_bits_are_those_of_the_reference_for_any_numbers(type: TensorType, values: Floats) -> None:
    with np.errstate(all="ignore"):  # the reference divides by 0
        expected = gguf.quantize(values, ggml(type)).view(np.uint8).reshape(-1)
    np.testing.assert_array_equal(quantize(type, values), expected)


@pytest.mark.parametrize("type", QUANTIZED_TYPES)
@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("measure", MEASURES)
def test_errors_are_within_5_percent_of_llama_cpp(type: TensorType, kind: str, measure: str) -> None:
    values = random_numbers(kind)
    result = dequantize(type, quantize(type, values), values.shape)
    errors = json.loads((DATA / "llama_cpp_errors.json").read_text())["errors"]
    allowed = 1.05 if type in SEARCHED else 1.000001
    assert squared_error(values, result, measure) <= allowed * errors[type.name][kind][measure]


@pytest.mark.parametrize("type", SEARCHED)
@settings(deadline=None, max_examples=60)
@given(
    values=arrays(np.float32, (8, 32), elements=st.floats(-1000, 1000, width=32)),
    exponents=arrays(np.int8, (8, 1), elements=st.integers(-40, 0)),
)
def test_any_numbers_come_closer_than_zeros(type: TensorType, values: Floats, exponents: npt.NDArray[np.int8]) -> None:
    values = (values * 10.0**exponents).astype(np.float32).reshape(1, 256)
    result = dequantize(type, quantize(type, values), values.shape)
    smallest_scale = 2.0**-24
    allowed = squared_error(values, np.zeros_like(values), "weighted") * 1.01
    assert squared_error(values, result, "weighted") <= allowed + 256 * (64 * 128 * smallest_scale) ** 3


@pytest.mark.parametrize("type", QUANTIZED_TYPES)
@pytest.mark.parametrize("value", [0.0, 0.25, -0.25, 3e-9, 1e-40])
def test_constant_blocks(type: TensorType, value: float) -> None:
    values = np.full((3, 256), value, np.float32)
    result = dequantize(type, quantize(type, values), values.shape)
    half = 2.0**-24  # the smallest scale
    np.testing.assert_allclose(result, values, rtol=0.02, atol=half * 130)


@pytest.mark.parametrize("type", QUANTIZED_TYPES)
def test_one_large_number_among_zeros(type: TensorType) -> None:
    values = np.zeros((2, 256), np.float32)
    values[0, 77], values[1, 200] = 5, -7
    result = dequantize(type, quantize(type, values), values.shape)
    np.testing.assert_allclose(result, values, atol=0.06 if type.name.startswith("IQ4") else 0.02)  # IQ4 lacks 0


@pytest.mark.parametrize("type", WRITTEN)
def test_what_is_stored_exactly_stays_as_it_is(type: TensorType) -> None:
    """Quantizing again changes little; the types ggml defines are idempotent up to the rounding of their scales."""
    values = random_numbers("normal")
    once = dequantize(type, quantize(type, values), values.shape)
    twice = dequantize(type, quantize(type, once), values.shape)
    assert squared_error(once, twice, "plain") <= 0.12 * squared_error(values, once, "plain") + 1e-12


def test_rows_are_quantized_alike_in_any_chunks() -> None:
    values = np.tile(random_numbers("normal"), (3, 1))  # more than are quantized at a time
    for type in (TensorType.Q4_K, TensorType.Q8_0):
        whole = quantize(type, values).reshape(len(values), -1)
        np.testing.assert_array_equal(whole[:64], quantize(type, values[:64]).reshape(64, -1))
        np.testing.assert_array_equal(whole[64:128], whole[:64])


MIXTURE_MODELS = json.loads((DATA / "llama_cpp_mixtures.json").read_text())["models"]


@pytest.mark.parametrize("model", MIXTURE_MODELS, ids=lambda model: model["label"])
@pytest.mark.parametrize("mixture", sorted(MIXTURES.keys() - {"F32"}))
def test_mixtures_are_those_of_llama_cpp(mixture: str, model: dict[str, dict[str, dict[str, str]]]) -> None:
    shape = dict(model["shape"])
    tied = bool(shape.pop("tied"))
    config = tiny_config(**shape)
    types: dict[str, list[str]] = {}
    for name, dimensions in expected_shapes(config):
        if len(dimensions) == 2 and not (tied and name == OUTPUT):
            type = MIXTURES[mixture].type_of(name, dimensions, config, tied=tied)
            types.setdefault(name.split(".")[-2], []).append(type.name)
    expected = {
        short: [type for part in layers.split() for type in [part.split("*")[0]] * int(part.split("*")[1])]
        for short, layers in model["types"][mixture].items()
    }
    assert types == expected


def test_vectors_and_the_mixture_f32() -> None:
    config = tiny_config()
    for name, shape in expected_shapes(config):
        assert MIXTURES["F32"].type_of(name, shape, config, tied=False) == TensorType.F32
        if len(shape) == 1:
            assert MIXTURES["Q4_K_M"].type_of(name, shape, config, tied=False) == TensorType.F32


def test_file_types_are_those_of_gguf() -> None:
    for name, mixture in MIXTURES.items():
        known = gguf.LlamaFileType(mixture.file_type).name
        assert known.removeprefix("MOSTLY_").removeprefix("ALL_") == name
