"""Models with the shape of published ones and random weights, whose speed is that of the real ones."""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from ...config import ModelConfig
from ...errors import OptionError, TokenizerError
from ...weights import Tensor, TensorType, Weights
from ...weights.convert.mixtures import MIXTURES
from ...weights.convert.quantize import quantize
from ...weights.layout import EMBEDDING, OUTPUT, expected_shapes
from ...weights.types import dequantize


class _Shape(NamedTuple):
    config: ModelConfig
    tied: bool


_SMOLLM2 = ModelConfig(
    name="smollm2-135m",
    dim=576,
    layers=30,
    heads=9,
    kv_heads=3,
    head_dim=64,
    hidden_dim=1536,
    vocab_size=49152,
    context=8192,
    norm_eps=1e-5,
    rope_theta=100000.0,
)
_LLAMA3_8B = ModelConfig(
    name="llama3.1-8b",
    dim=4096,
    layers=32,
    heads=32,
    kv_heads=8,
    head_dim=128,
    hidden_dim=14336,
    vocab_size=128256,
    context=131072,
    norm_eps=1e-5,
    rope_theta=500000.0,
)
# sizes from meta-llama/llama-models, models/sku_list.py
_SHAPES = (
    _Shape(_SMOLLM2, tied=True),
    _Shape(replace(_LLAMA3_8B, name="llama3.2-1b", dim=2048, layers=16, head_dim=64, hidden_dim=8192), tied=True),
    _Shape(replace(_LLAMA3_8B, name="llama3.2-3b", dim=3072, layers=28, heads=24, hidden_dim=8192), tied=True),
    _Shape(_LLAMA3_8B, tied=False),
    _Shape(replace(_LLAMA3_8B, name="llama3.1-70b", dim=8192, layers=80, heads=64, hidden_dim=28672), tied=False),
)
SHAPES = {shape.config.name: shape for shape in _SHAPES}
"""The known shapes by name."""


class _Scales(NamedTuple):
    """Where a block has its scale, and its minimum; the minimum, as a multiple of the scale, that makes the mean 0."""

    scale: int
    minimum: int = 0
    multiple: float = 0


_SCALES = {
    TensorType.Q8_0: _Scales(0),
    TensorType.Q4_0: _Scales(0),
    TensorType.Q4_1: _Scales(0, 2, -7.5),
    TensorType.Q5_0: _Scales(0),
    TensorType.Q5_1: _Scales(0, 2, -15.5),
    TensorType.Q2_K: _Scales(80, 82, 1.5),
    TensorType.Q3_K: _Scales(108),
    TensorType.Q4_K: _Scales(0, 2, 7.5),
    TensorType.Q5_K: _Scales(0, 2, 15.5),
    TensorType.Q6_K: _Scales(208),
    TensorType.IQ4_NL: _Scales(0),
    TensorType.IQ4_XS: _Scales(0),
}
_CHUNK = 1 << 20
"""Blocks that are filled at a time."""
_SAMPLE = 64
"""Blocks from which the magnitude of random ones is estimated."""


def synthetic_weights(shape: str, mixture: str) -> Weights:
    """Make a model in memory, where each tensor has a place of its own; it has no vocabulary.

    Raises:
        OptionError: the shape or the mixture of types is unknown.
    """
    for kind, name, known in (("shape", shape, SHAPES), ("type", mixture, MIXTURES)):
        if name not in known:
            raise OptionError(f"{kind} '{name}' is unknown; known: {', '.join(known)}")
    tensors = {tensor.name: tensor for tensor in random_tensors(SHAPES[shape].config, mixture, SHAPES[shape].tied)}

    def no_vocabulary() -> NoReturn:
        raise TokenizerError(f"{shape}: random weights have no vocabulary")

    return Weights(
        Path(shape),
        SHAPES[shape].config,
        tensors,
        load_vocabulary=no_vocabulary,
        metadata={"general.file_type": MIXTURES[mixture].file_type},
    )


def random_tensors(config: ModelConfig, mixture: str, tied: bool) -> Iterator[Tensor]:
    """Make tensors of a mixture of types at scales that keep activations finite; norms are 1."""
    random = np.random.Generator(np.random.SFC64(1))
    for name, shape in expected_shapes(config):
        if name == OUTPUT and tied:
            continue
        type = MIXTURES[mixture].type_of(name, shape, config, tied=tied)
        data = _allocate(name, math.prod(shape) // type.block_size * type.block_bytes)
        if len(shape) == 1:
            data.view(np.float32)[:] = 1
        else:
            _fill(random, type, data, 1 / math.sqrt(shape[-1]))
        yield Tensor(name, type, shape, (data,))


def _allocate(name: str, size: int) -> NDArray[np.uint8]:
    """Return memory which `release` frees after packing, as it does that of files; embeddings are read later, too."""
    if name == EMBEDDING or sys.platform == "win32":
        return np.empty(size, np.uint8)
    return np.frombuffer(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)


def _fill(random: np.random.Generator, type: TensorType, data: NDArray[np.uint8], magnitude: float) -> None:
    """Fill with random weights of a root mean square of `magnitude`."""
    is_floats = type.block_size == 1
    step = _CHUNK * type.block_bytes
    for start in range(0, len(data), step):
        part = data[start : start + step]
        if is_floats:
            part[:] = quantize(
                type, random.standard_normal(len(part) // type.block_bytes, np.float32) * np.float32(magnitude)
            )
        else:
            part[:] = np.frombuffer(random.bytes(len(part)), np.uint8)
    if not is_floats:
        _scale(data, type, magnitude)


def _scale(data: NDArray[np.uint8], type: TensorType, magnitude: float) -> None:
    """Set the scales of random blocks."""
    blocks = data.reshape(-1, type.block_bytes)
    sample = blocks[:_SAMPLE].copy()
    _set_scales(sample, _SCALES[type], 1)
    values = dequantize(type, sample.reshape(-1), (len(sample), type.block_size))
    _set_scales(blocks, _SCALES[type], magnitude / float(np.sqrt(np.mean(np.square(values)))))


def _set_scales(blocks: NDArray[np.uint8], scales: _Scales, scale: float) -> None:
    if scales.multiple:
        blocks[:, scales.minimum : scales.minimum + 2] = _half(scale * scales.multiple)
    blocks[:, scales.scale : scales.scale + 2] = _half(scale)


def _half(value: float) -> NDArray[np.uint8]:
    return np.array([value], "<f2").view(np.uint8)
