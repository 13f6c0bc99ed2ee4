"""Llama models in .bin files: version 0 of karpathy/llama2.c in F32, and of pfusik/llama2.fu and llama3.fu in BF16.

Seven 32-bit integers (dim, hidden_dim, layers, heads, kv_heads, vocab_size, context; a negative vocab_size says that
there is an output matrix) are followed by the tensors, those of all layers after each other. F32 files have two tables
of rotations before the output matrix (llama2.c, export.py, `legacy_export`), BF16 files have not (llama2.fu,
float2bf16.c). Nothing tells the two apart but the size of the file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...config import ModelConfig, RopeStyle
from ...errors import TokenizerError, WeightsError
from ...tokenizer.vocabulary import Vocabulary
from ...tokenizer.vocabulary.llama2c import read_tokenizer_bin
from ...tokenizer.vocabulary.meta import read_tokenizer_model
from ..layout import OUTPUT, check_tensors, expected_shapes
from ..mapping import map_file
from ..tensor import Tensor, Weights
from ..types import TensorType

SUFFIX = ".bin"
_HEADER = struct.Struct("<7i")
_NEW_VERSIONS_MAGIC = 0x616B3432
_ORDER = (
    "token_embd", "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output",
    "ffn_norm", "ffn_gate", "ffn_down", "ffn_up", "output_norm", "output",
)  # fmt: skip
_NORM_EPS = 1e-5
_LLAMA3_VOCAB_SIZE = 65536
"""From this size on vocabularies are Llama 3's, as in llama3.fu (`IsLlama3` of llama.fu)."""


def load_llama2c(path: Path) -> Weights:
    """Map a .bin file of llama2.c, llama2.fu or llama3.fu, and check that its size is the one its header asks for.

    Raises:
        OSError: the file cannot be opened or mapped.
        WeightsError: it is not such a file, or is truncated.
    """
    mapped = map_file(path)
    if len(mapped) < _HEADER.size:
        raise WeightsError(f"{path}: has {len(mapped)} bytes, less than the header of a llama2.c file")
    header = _HEADER.unpack_from(mapped)
    config = _read_config(path, header)
    is_tied = header[5] > 0
    count = _count(config, is_tied)
    table = config.context * config.head_dim
    sizes = {
        TensorType.F32: _HEADER.size + 4 * (count + table),
        TensorType.BF16: _HEADER.size + 2 * count,
    }
    for type, size in sizes.items():
        if len(mapped) == size:
            data = np.frombuffer(mapped, np.uint8)[_HEADER.size :]
            tensors = dict(_cut(data, type, config, is_tied, 0 if type == TensorType.BF16 else table))
            return Weights(
                path,
                config,
                check_tensors(path, config, tensors),
                load_vocabulary=partial(_load_vocabulary, path.parent, config.vocab_size),
            )
    needed = " or ".join(f"{size} bytes in {type.name}" for type, size in sizes.items())
    raise WeightsError(f"{path}: has {len(mapped)} bytes; by its header a llama2.c file has {needed}")


def _read_config(path: Path, header: tuple[int, ...]) -> ModelConfig:
    if header[0] == _NEW_VERSIONS_MAGIC:
        raise WeightsError(f"{path}: a llama2.c file of version {header[1]}; supported: 0 (legacy)")
    dim, hidden_dim, layers, heads, kv_heads, vocab_size, context = header
    vocab_size = abs(vocab_size)
    sizes = (dim, hidden_dim, layers, heads, kv_heads, vocab_size, context)
    if min(sizes) < 1 or heads % kv_heads or dim % heads or dim // heads % 2:
        raise WeightsError(f"{path}: not a llama2.c file: it would have the sizes {', '.join(map(str, header))}")
    return ModelConfig(
        name=path.stem,
        dim=dim,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=dim // heads,
        hidden_dim=hidden_dim,
        vocab_size=vocab_size,
        context=context,
        norm_eps=_NORM_EPS,
        rope_theta=500000.0 if vocab_size >= _LLAMA3_VOCAB_SIZE else 10000.0,
        rope_style=RopeStyle.INTERLEAVED,
    )


def _shapes(config: ModelConfig, is_tied: bool) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in expected_shapes(config) if not (is_tied and name == OUTPUT)}


def _count(config: ModelConfig, is_tied: bool) -> int:
    """Return how many numbers all tensors have, without listing those of each layer: there may be any number."""
    none, one = (sum(map(math.prod, _shapes(replace(config, layers=layers), is_tied).values())) for layers in (0, 1))
    return none + config.layers * (one - none)


def _cut(
    data: NDArray[np.uint8], type: TensorType, config: ModelConfig, is_tied: bool, table: int
) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors, which lie in `_ORDER` and within that by layers; `table` numbers come before the output."""
    position = 0
    shapes = _shapes(config, is_tied)
    for part in _ORDER:
        if part == "output":
            position += table * type.block_bytes
        for name, shape in shapes.items():
            if name.split(".")[-2] == part:
                size = math.prod(shape) * type.block_bytes
                yield name, Tensor(name, type, shape, (data[position : position + size],))
                position += size


def _load_vocabulary(directory: Path, vocab_size: int) -> Vocabulary:
    """Read Meta's tokenizer.model for a Llama 3, for others tokenizer.bin."""
    if vocab_size < _LLAMA3_VOCAB_SIZE:
        return read_tokenizer_bin(directory / "tokenizer.bin", vocab_size)
    path = directory / "tokenizer.model"
    vocabulary = read_tokenizer_model(path)
    if len(vocabulary.tokens) != vocab_size:
        raise TokenizerError(f"{path}: has {len(vocabulary.tokens)} tokens, the model has {vocab_size}")
    return vocabulary
