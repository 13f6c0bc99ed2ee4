"""The engines under test, arrays that show when a kernel leaves its bounds, and how exact results have to be."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from blocks import Bytes, any_blocks, expand, ggml
from gguf import quantize
from tiny_models import Tensors, dequantized, write_gguf

from pyllama3.analysis.reference import Array, ReferenceModel
from pyllama3.backends import Engine, engine_dir, is_available, is_built, load_engine
from pyllama3.config import CacheType, ModelConfig, Precision, RopeStyle
from pyllama3.runtime.model import EngineModel
from pyllama3.weights import TensorType, load_weights

Floats = npt.NDArray[np.float32]
Values = Any
"""What numpy takes for an array: an array, a sequence, a number."""

# How exact results have to be. The engine computes in float32 (the Python one in float64, stored as float32), whose
# rounding to nearest is off by at most 2^-24 of the result.

ROUNDING = 2.0**-24
HALF_ROUNDING = 2.0**-11
"""Relative error of rounding to half precision."""
TINIEST = 2.0**-126
"""Smallest number of float32 that has all its bits."""
ELEMENTWISE = 8 * ROUNDING
"""Relative error of a few operations in a row."""
SUM = 128 * ROUNDING
"""Error of a sum of products, relative to the sum of their magnitudes.

A product is one of up to 512 that are added one after the other. Each addition rounds a partial sum, at worst always
in the same direction: 512 roundings; of random directions, less than a tenth of that is left. Numbers `d * n + m` are
rounded once more, and where these two cancel, `Matrix.terms` tells the magnitudes.
"""
FORWARD_NMSE = 2e-11
"""Squared error of an exact forward pass, relative to the square of the result; tiny models reach 1.5e-12.

A wrong pair, position, head or row gives more than 1e-3. llama.cpp allows 5e-4 for one product of quantized matrices.
"""
FORWARD_MAX = 1e-4
"""Largest error of a logit or a number of the residual stream, which are of size 1 to 10; tiny models reach 2e-5."""
CACHE_NMSE: dict[CacheType, float] = {"f32": FORWARD_NMSE, "f16": 1e-6, "int8": 5e-4}
"""The same by what keys and values are stored as; tiny models reach 2e-7 with f16 and 1.4e-4 with int8."""
QUANTIZED_NMSE = {32: FORWARD_NMSE, 16: 3e-8, 8: 1e-3}
"""The same by the bits of activations; tiny models reach 1e-8 with 16 bits and 5e-4 with 8.

A step of 1/127 of the largest of 32 numbers gives NMSE 2.5e-5 for each of the 4 products of a layer in a row, one of
1/32767 gives 4e-10.
"""


def built_engine(name: str) -> Engine:
    """Load an engine; skip the test if it has not been built or lacks a package, a failure where $CI is set.

    WebAssembly may always be missing, as it needs more than a C compiler.
    """
    if not is_built(name):
        message = f"backend '{name}' has not been built in {engine_dir()}"
        (pytest.fail if os.environ.get("CI") and name != "wasm" else pytest.skip)(message)
    if not is_available(name):
        pytest.skip(f"backend '{name}' needs a package: pip install 'pyllama3[{name}]'")
    return load_engine(name)


# arrays


def normal(*shape: int, seed: int = 1) -> Floats:
    """Return numbers with a normal distribution; other shapes and seeds have others."""
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(np.float32)


MARGIN = 19
"""Numbers on both sides of those of an Input or Output; odd, so that no vector is aligned."""
_UNREAD: dict[str, Any] = {"float32": np.nan, "int32": -1, "int16": -1, "int8": -128, "uint8": 0xFF}
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


def assert_close(actual: Values, expected: Values, allowed: Values) -> None:
    """Assert that each number is as close to the expected one as it is allowed to be."""
    error: Any = np.abs(np.asarray(actual, np.float64) - expected)
    np.testing.assert_array_less(error, np.asarray(allowed) + TINIEST)


def assert_elementwise(actual: Values, expected: Values) -> None:
    """Assert that results of a few operations are as exact as they can be."""
    assert_close(actual, expected, ELEMENTWISE * np.abs(expected))


def assert_sums(actual: Values, expected: Values, magnitudes: Values) -> None:
    """Assert that sums of products are exact, given the sums of the magnitudes of the products."""
    assert_close(actual, expected, SUM * np.asarray(magnitudes))


def assert_forward(actual: Values, expected: Values) -> None:
    """Assert that results of an exact forward pass lie within FORWARD_NMSE and FORWARD_MAX."""
    assert nmse(actual, expected) <= FORWARD_NMSE
    assert np.abs(np.asarray(actual, np.float64) - expected).max() <= FORWARD_MAX


def nmse(actual: Values, expected: Values) -> float:
    """Return the squared error relative to the square of what is expected."""
    error = np.asarray(actual, np.float64) - expected
    return float(np.sum(error**2) / np.sum(np.square(np.asarray(expected, np.float64))))


# weights


@dataclass(frozen=True)
class Matrix:
    """Random numbers (rows, cols) in a stored type: their bytes, and what these mean according to `gguf`."""

    type: TensorType
    data: Bytes
    exact: Array

    @property
    def terms(self) -> Array:
        """Magnitudes (rows, cols) of the terms of numbers `d * n + m`, which may cancel: 3 times the largest of 16.

        Types without blocks have no such terms.
        """
        if self.type.block_size == 1:
            return np.abs(self.exact)
        largest: Array = np.abs(self.exact).reshape(len(self.exact), -1, 16).max(axis=2)
        return 3 * largest.repeat(16, axis=1)

    def tensor(self, engine: Engine, tensor: Any = None) -> Any:
        """Return a tensor of the engine, a new one unless given."""
        tensor = tensor or engine.Tensor()
        data = self.data.copy()
        data.flags.writeable = False
        floats = engine.view(data, "float32") if self.type == TensorType.F32 else None
        halves = engine.view(data, "int16") if self.type in (TensorType.F16, TensorType.BF16) else None
        blocks = engine.view(data, "uint8") if self.type.block_size > 1 else None
        tensor.set(engine.TensorType(int(self.type)), *self.exact.shape, floats, halves, blocks)
        return tensor


def random_matrix(type: TensorType, rows: int, cols: int) -> Matrix:
    """Return numbers with a normal distribution, or with any bits if `gguf` cannot quantize to the type."""
    values = np.random.default_rng((rows, cols)).normal(size=(rows, cols)).astype(np.float32)
    try:
        stored = quantize(values, ggml(type))
    except (NotImplementedError, KeyError):  # a type that it only reads, or does not know
        stored = any_blocks(type, rows * cols // type.block_size).reshape(rows, -1)
    exact = expand(type, stored).astype(np.float64).reshape(rows, cols)
    return Matrix(type, stored.view(np.uint8).reshape(-1), exact)


def pack(engine: Engine, tensor: Any, type: TensorType, *, parts: int = 1) -> None:
    """Pack a tensor of a type between sentinels, part by part, the last first."""
    dtype = "float32" if type == TensorType.F32 else "int16"
    packed = Output(engine, np.zeros(tensor.get_packed_length()), dtype)
    words, floats = (None, packed.run) if type == TensorType.F32 else (packed.run, None)
    tensor.set_packed(words, floats)
    for part in reversed(range(parts)):
        tensor.pack(part, parts)
    packed.result()


class Batch:
    """Activations of the engine: vectors (count, cols) as floats and, with `bits`, quantized, between sentinels."""

    def __init__(self, engine: Engine, x: Values, bits: int = 32, *, quantize: bool = True) -> None:
        self.engine = engine
        self.count, self.cols = np.shape(x)
        self.core = engine.Activations()
        self.memory: dict[str, Output] = {}
        if bits < 32:
            size, names = self.count * self.cols, ("quants", "bytes", "scales", "sums")
            lengths = {"quants": size, "scales": size // 32, "sums": size // 16}
            if bits == 8:
                lengths["bytes"] = size
            dtypes = {"quants": "int16", "bytes": "int8"}
            self.memory = {
                name: Output(engine, np.full(length, 3), dtypes.get(name, "float32"))
                for name, length in lengths.items()
            }
            self.core.set_quantized(*(self.memory[name].run if name in lengths else None for name in names))
        self.core.set(Input(engine, x).run, self.cols)
        if quantize:
            self.core.quantize(0, self.count)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return "quants", "bytes", "scales" or "sums", having checked that nothing was written around them."""
        return self.memory[name].result()

    def meant(self) -> Array:
        """Return what the quantized vectors mean (count, cols)."""
        result: Array = self["quants"].reshape(-1, 32) * np.float64(self["scales"])[:, None]
        return result.reshape(self.count, self.cols)

    def multiply(self, tensor: Any, rows: int, parts: int = 1) -> Floats:
        """Return the products (count, rows) with a tensor, computed in parts, the last first."""
        y = Output(self.engine, (self.count, rows))
        if parts == 1:
            tensor.mat_mul(y.run, self.core, self.count)
        else:
            for part in reversed(range(parts)):
                tensor.mat_mul_part(y.run, self.core, self.count, part, parts)
        return y.result()


def load_tiny(
    engine: Engine,
    path: Path,
    config: ModelConfig,
    tensors: Tensors,
    type: TensorType = TensorType.F32,
    *,
    threads: int = 1,
    precision: Precision = "exact",
    cache_type: CacheType | None = None,
) -> tuple[EngineModel, ReferenceModel]:
    """Write a model to a GGUF file; return it as the host reads it and as the reference, which reads it by `gguf`.

    GGUF has one RoPE style only: for the other one, the style in the configuration of what was read is changed.
    """
    write_gguf(path, replace(config, rope_style=RopeStyle.INTERLEAVED), tensors, ggml(type))
    read = load_weights(path)
    weights = replace(read, config=replace(read.config, rope_style=config.rope_style))
    model = EngineModel(engine, weights, threads=threads, precision=precision, cache_type=cache_type)
    return model, ReferenceModel(config, dequantized(path))
