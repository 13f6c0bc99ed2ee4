"""Conversion of any model to a GGUF file: tensor by tensor, in runs of rows, so that it needs little memory."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import TokenizerError, WeightsError
from ...files import is_device
from ...tokenizer.vocabulary import gguf_metadata
from ..blocks import Bytes, Floats
from ..formats.gguf_llama import load_gguf, rope_metadata, rope_tensors, template_metadata
from ..layout import OUTPUT, gguf_row_order
from ..sampling import sampling_metadata
from ..tensor import Tensor, Weights
from ..types import TensorType, dequantize
from .gguf_writer import OutputTensor, gguf_size, write_gguf
from .mixtures import Mixture
from .quantize import quantize

_RUN = 1 << 22
"""Numbers that are converted at a time."""
_OF_THIS_FILE = ("general.architecture", "general.alignment", "general.file_type", "general.quantization_version")
_WIDE = (TensorType.F32, TensorType.BF16)
"""Types with the range of single precision; the scales and minimums of the quantized ones are halves."""
_QUANTIZATION_VERSION = 2
"""GGML_QNT_VERSION of ggml.h: the block layouts of `types.py`."""


@dataclass(frozen=True)
class TensorError:
    """How far a tensor of a converted model is from the original."""

    name: str
    type: TensorType
    relative: float
    """Root of the mean squared error, divided by that of the mean square."""
    largest: float
    """The largest error of a number."""


def convert(
    weights: Weights, path: Path, mixture: Mixture, progress: Callable[[int, int], object] = lambda done, total: None
) -> int:
    """Write a model to a GGUF file in a mixture of types, and return its size in bytes.

    `progress` receives the bytes written and in all.

    Raises:
        TokenizerError, TemplateError: the model's vocabulary or template is missing or damaged.
        WeightsError: the file cannot be written, or numbers of the model are not finite.
    """
    metadata = _metadata(weights, mixture)
    tensors = list(_output_tensors(weights, mixture))
    total = gguf_size(metadata, tensors)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise WeightsError(f"{path}: there is no directory {folder}")
    if (free := shutil.disk_usage(folder).free) < total and not is_device(path):
        raise WeightsError(f"{path}: needs {total / 1e9:.2f} GB, but {folder} has {free / 1e9:.2f} GB left")
    write_gguf(path, metadata, tensors, lambda written: progress(written, total))
    return total


def count_fallbacks(weights: Weights, mixture: Mixture) -> Counter[tuple[TensorType, TensorType, int]]:
    """Count the tensors that get another type than the mixture has for them: wanted and given type, and columns."""
    tied = OUTPUT not in weights.tensors
    counts: Counter[tuple[TensorType, TensorType, int]] = Counter()
    for name, tensor in weights.tensors.items():
        wanted = mixture.wanted_type(name, tensor.shape, weights.config, tied=tied)
        given = mixture.type_of(name, tensor.shape, weights.config, tied=tied)
        if given != wanted:
            counts[wanted, given, tensor.shape[-1]] += 1
    return counts


def compare(weights: Weights, path: Path) -> Iterator[TensorError]:
    """Compare the tensors of a model with those of the GGUF file it was converted to.

    Raises:
        WeightsError: the file is damaged, or not a conversion of the model.
    """
    converted = load_gguf(path).tensors
    for name, tensor in weights.tensors.items():
        if name not in converted or converted[name].shape != tensor.shape:
            raise WeightsError(f"{path}: tensor {name!r:.80} is missing or has another shape than in {weights.path}")
        result = converted[name]
        runs = zip(_runs(tensor, gguf_row_order(name, weights.config)), _runs(result, None), strict=True)
        square = squared_error = largest = 0.0
        for original, stored in runs:
            exact = _floats(tensor, original)
            error = np.abs(_floats(result, stored) - exact)
            square += float(np.vdot(exact, exact))
            squared_error += float(np.vdot(error, error))
            largest = max(largest, float(error.max()))
        yield TensorError(name, result.type, math.sqrt(squared_error / square) if square else 0.0, largest)


def _metadata(weights: Weights, mixture: Mixture) -> dict[str, Any]:
    """Return what the file tells about the model: its shape as it was understood, all else as it came."""
    config = weights.config
    kept = {
        key: value
        for key, value in weights.metadata.items()
        if key.startswith(("general.", "tokenizer.")) and key not in _OF_THIS_FILE
    }
    if not kept.keys() & {"tokenizer.ggml.model"}:
        vocabulary = weights.load_vocabulary()
        try:
            kept |= gguf_metadata(vocabulary, config.vocab_size)
        except TokenizerError as error:
            raise TokenizerError(f"{weights.path}: {error}") from None
        kept |= template_metadata(weights.load_templates())
        kept |= sampling_metadata(weights.load_sampling())
    shape = {
        "vocab_size": config.vocab_size,
        "context_length": config.context,
        "embedding_length": config.dim,
        "block_count": config.layers,
        "feed_forward_length": config.hidden_dim,
        "attention.head_count": config.heads,
        "attention.head_count_kv": config.kv_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "attention.layer_norm_rms_epsilon": config.norm_eps,
        "rope.dimension_count": config.head_dim,
        "rope.freq_base": config.rope_theta,
    }
    kept |= rope_metadata(config)
    return {
        "general.architecture": "llama",
        "general.name": config.name,
        "general.file_type": mixture.file_type,
        "general.quantization_version": _QUANTIZATION_VERSION,
        **{f"llama.{key}": value for key, value in shape.items()},
        **kept,
    }


def _output_tensors(weights: Weights, mixture: Mixture) -> Iterator[OutputTensor]:
    config = weights.config
    for name, factors in rope_tensors(config).items():
        yield OutputTensor(name, TensorType.F32, factors.shape, partial(_bytes_of, factors))
    tied = OUTPUT not in weights.tensors
    for name, tensor in weights.tensors.items():
        type = mixture.type_of(name, tensor.shape, config, tied=tied)
        yield OutputTensor(name, type, tensor.shape, partial(_converted, weights, tensor, type))


def _bytes_of(numbers: Floats) -> list[Bytes]:
    return [numbers.view(np.uint8)]


def _converted(weights: Weights, tensor: Tensor, type: TensorType) -> Iterator[Bytes]:
    """Yield the bytes of a tensor in another type, with the rows in GGUF's order."""
    for run in _runs(tensor, gguf_row_order(tensor.name, weights.config)):
        if type == tensor.type:
            yield np.ascontiguousarray(run).reshape(-1)
            continue
        values = _floats(tensor, run)
        limit = np.finfo(np.float32 if type in _WIDE else np.float16).max
        if not np.abs(values).max() <= limit:  # true for NaN, too
            raise WeightsError(
                f"{weights.path}: tensor {tensor.name!r:.80} has numbers that are not finite in {type.name}"
            )
        yield quantize(type, values)
    tensor.release()


def _runs(tensor: Tensor, order: NDArray[np.intp] | None) -> Iterator[Bytes]:
    """Yield the bytes of a tensor in runs of rows (rows, bytes of a row)."""
    columns = 1 if order is not None and len(tensor.shape) == 1 else tensor.shape[-1]
    rows = tensor.data.reshape(-1, columns // tensor.type.block_size * tensor.type.block_bytes)
    step = max(1, _RUN // columns)
    for start in range(0, len(rows), step):
        yield rows[start : start + step] if order is None else rows[order[start : start + step]]


def _floats(tensor: Tensor, run: Bytes) -> Floats:
    columns = run.shape[1] // tensor.type.block_bytes * tensor.type.block_size
    return dequantize(tensor.type, np.ascontiguousarray(run).reshape(-1), (len(run), columns))
