"""The engines under test, arrays that show when a kernel leaves its bounds, and how exact results have to be.

Test modules take the fixtures with `engine = engines.engine`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as GgmlType
from gguf.quants import dequantize, quantize
from reference import Array, ReferenceModel
from tiny_models import Tensors, dequantized, write_gguf

from pyllama3.backends import BACKENDS, Engine, engine_dir, is_built, load_engine
from pyllama3.config import ModelConfig, RopeStyle
from pyllama3.session import EngineModel
from pyllama3.weights import load_weights

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Values = Any
"""What numpy takes for an array: an array, a sequence, a number."""

TYPES = (GgmlType.F32, GgmlType.F16, GgmlType.BF16, GgmlType.Q8_0, GgmlType.Q4_0, GgmlType.Q4_1)
PACKED_TYPES = (GgmlType.Q8_0, GgmlType.Q4_0, GgmlType.Q4_1)

# How exact results have to be. The engine computes in float32 (the Python one in float64, stored as float32), whose
# rounding to nearest is off by at most 2^-24 of the result.

ROUNDING = 2.0**-24
TINIEST = 2.0**-126
"""Smallest number of float32 that has all its bits."""
ELEMENTWISE = 8 * ROUNDING
"""Relative error of a few operations in a row."""
SUM = 128 * ROUNDING
"""Error of a sum of products, relative to the sum of their magnitudes.

512 products in at least 8 lanes take 64 additions and a few more. Kernels on packed weights sum unsigned integers and
subtract the bias afterwards, which costs the same once more.
"""
FORWARD_NMSE = 2e-11
"""Squared error of a forward pass, relative to the square of the result; tiny models reach 1.5e-12.

A wrong pair, position, head or row gives more than 1e-3. llama.cpp allows 5e-4 for one product of quantized matrices.
"""
FORWARD_MAX = 1e-4
"""Largest error of a logit or a number of the residual stream, which are of size 1 to 10; tiny models reach 2e-5."""


def built_engine(name: str) -> Engine:
    """Load an engine; skip the test if it has not been built, which is a failure where $CI is set."""
    if not is_built(name):
        message = f"backend '{name}' has not been built in {engine_dir()}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return load_engine(name)


@pytest.fixture(scope="session", params=BACKENDS)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each backend in turn."""
    return built_engine(request.param)


@pytest.fixture(scope="session")
def both_engines() -> tuple[Engine, Engine]:
    """The C and the Python engine."""
    return built_engine("c"), built_engine("python")


# arrays

MARGIN = 19
"""Numbers on both sides of those of an Input or Output; odd, so that no vector is aligned."""
_UNREAD: dict[str, Any] = {"float32": np.nan, "int16": -1, "uint16": 0xFFFF, "uint8": 0xFF}
_UNWRITTEN = 77


class Input:
    """Numbers to read: a read-only view without a copy, surrounded by NaN (or by integers that give NaN or too much).

    `array` holds them at the offset MARGIN, `run` at 0.
    """

    def __init__(self, engine: Engine, values: Values, dtype: str = "float32") -> None:
        flat = np.asarray(values).ravel()
        memory = np.full(len(flat) + 2 * MARGIN, _UNREAD[dtype], dtype)
        memory[MARGIN:-MARGIN] = flat
        memory.flags.writeable = False
        self.array = engine.view(memory.view(np.uint8), dtype)
        self.run = memoryview(self.array)[MARGIN:]


class Output:
    """Numbers to write, surrounded by sentinels; they start as `values`, or as NaN (integers: 0) for a shape (a tuple).

    `array` holds them at the offset MARGIN, `run` at 0.
    """

    def __init__(self, engine: Engine, values: Values, dtype: str = "float32") -> None:
        is_shape = isinstance(values, tuple)
        start = np.full(values, np.nan if dtype == "float32" else 0) if is_shape else np.asarray(values)
        self.array = engine.empty(dtype, start.size + 2 * MARGIN)
        self._memory = engine.numpy(self.array, dtype)
        self._memory[:] = _UNWRITTEN
        self._values = self._memory[MARGIN:-MARGIN].reshape(start.shape)
        self._values[...] = start
        self.run = memoryview(self.array)[MARGIN:]

    def result(self) -> npt.NDArray[Any]:
        """Return the numbers, having checked that nothing was written around them."""
        assert (self._memory[:MARGIN] == _UNWRITTEN).all(), "written before the start"
        assert (self._memory[-MARGIN:] == _UNWRITTEN).all(), "written behind the end"
        return self._values


def to_floats(engine: Engine, values: Values) -> Any:
    """Return a writable float32 array of the engine with these values."""
    return Output(engine, values).run


def assert_elementwise(actual: Values, expected: Values) -> None:
    """Assert that results of a few operations are as exact as they can be."""
    assert_close(actual, expected, ELEMENTWISE * np.abs(expected))


def assert_close(actual: Values, expected: Values, allowed: Values) -> None:
    """Assert that each number is as close to the expected one as it is allowed to be."""
    error: Any = np.abs(np.asarray(actual, np.float64) - expected)
    np.testing.assert_array_less(error, np.asarray(allowed) + TINIEST)


def assert_sums(actual: Values, expected: Values, magnitudes: Values) -> None:
    """Assert that sums of products are exact, given the sums of the magnitudes of the products."""
    assert_close(actual, expected, SUM * np.asarray(magnitudes))


def assert_forward(actual: Values, expected: Values) -> None:
    """Assert that results of a forward pass lie within FORWARD_NMSE and FORWARD_MAX."""
    error = np.asarray(actual, np.float64) - expected
    assert np.sum(error**2) <= FORWARD_NMSE * np.sum(np.square(expected))
    assert np.abs(error).max() <= FORWARD_MAX


# weights


def any_blocks(kind: GgmlType, rows: int, cols: int) -> tuple[Bytes, Array]:
    """Return bytes (rows, ...) of a quantized type with any quants and finite halves, and the numbers they mean."""
    _, size = GGML_QUANT_SIZES[kind]
    data = np.random.default_rng((rows, cols)).integers(0, 256, (rows, cols // 32, size), np.uint8)
    halves = 2 if kind == GgmlType.Q4_1 else 1
    data[..., 1 : 2 * halves : 2] &= 0xBF  # the highest bit of the exponent: numbers below 2
    data = data.reshape(rows, -1)
    return data, dequantize(data, kind).astype(np.float64)


def stored(kind: GgmlType, values: Floats) -> tuple[Bytes, Array]:
    """Return values in a type, as bytes, and what these bytes mean according to `gguf`."""
    data = quantize(values, kind)
    return data.view(np.uint8).reshape(-1), dequantize(data, kind).astype(np.float64).reshape(values.shape)


def make_tensor(engine: Engine, kind: GgmlType, values: Floats, tensor: Any = None) -> tuple[Any, Array]:
    """Return a tensor (a new one, unless given) with values (rows, cols) in a type, and its exact values."""
    data, exact = stored(kind, values)
    data.flags.writeable = False
    tensor = tensor or engine.Tensor()
    floats = engine.view(data, "float32") if kind == GgmlType.F32 else None
    halves = engine.view(data, "int16") if kind in (GgmlType.F16, GgmlType.BF16) else None
    blocks = engine.view(data, "uint8") if kind in PACKED_TYPES else None
    tensor.set(engine.TensorType(int(kind)), *values.shape, floats, halves, blocks)
    return tensor, exact


def pack(engine: Engine, tensor: Any, threads: int) -> None:
    """Pack a tensor if its type can be packed, between sentinels."""
    quants, scales, minimums = (
        Output(engine, np.zeros(length), dtype)
        for length, dtype in (
            (tensor.get_quants_length(), "uint16"),
            (tensor.get_scales_length(), "int16"),
            (tensor.get_minimums_length(), "int16"),
        )
    )
    if tensor.get_quants_length() > 0:
        tensor.pack(quants.run, scales.run, minimums.run if tensor.get_minimums_length() > 0 else None, threads)
        for output in (quants, scales, minimums):
            output.result()


def load_tiny(
    engine: Engine,
    path: Path,
    config: ModelConfig,
    tensors: Tensors,
    kind: GgmlType = GgmlType.F32,
    *,
    threads: int = 1,
) -> tuple[EngineModel, ReferenceModel]:
    """Write a model to a GGUF file; return it as the host reads it and as the reference, which reads it by `gguf`.

    GGUF has one RoPE style only: for the other one, the style in the configuration of what was read is changed.
    """
    write_gguf(path, replace(config, rope_style=RopeStyle.INTERLEAVED), tensors, kind)
    read = load_weights(path)
    weights = replace(read, config=replace(read.config, rope_style=config.rope_style))
    model = EngineModel(engine, weights, threads=threads)
    return model, ReferenceModel(config, dequantized(path))
