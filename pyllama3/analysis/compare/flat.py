"""A model as a flat file, which a host in any language reads in a few lines; described in hosts/README.md."""

from __future__ import annotations

import struct
from typing import IO, Any

import numpy as np

from ...weights import Tensor, TensorType, Weights
from ...weights.layout import EMBEDDING, OUTPUT

_BYTES_OF_FLOATS = (TensorType.F16, TensorType.BF16)
"""Types that are widened to float32, which takes nothing from them."""


def write_flat(file: IO[bytes], weights: Weights, ids: Any) -> None:
    """Write a model; `ids` is the engine's `TensorId`."""
    config = weights.config
    tensors = {**weights.tensors, OUTPUT: weights.tensors.get(OUTPUT, weights.tensors[EMBEDDING])}
    file.write(struct.pack("<3d", config.norm_eps, config.rope_theta, config.rope_magnitude))
    shape = (config.dim, config.hidden_dim, config.layers, config.heads, config.kv_heads, config.head_dim)
    file.write(struct.pack("<9i", *shape, config.vocab_size, config.rope_style, len(tensors)))
    factors = config.rope_factors or (1.0,) * (config.head_dim // 2)
    file.write(np.array(factors, "<f4").tobytes())
    for name, tensor in tensors.items():
        _write_tensor(file, name, tensor, ids)


def _write_tensor(file: IO[bytes], name: str, tensor: Tensor, ids: Any) -> None:
    parts = name.split(".")  # "blk.0.attn_q.weight" or "output.weight"
    layer = int(parts[1]) if parts[0] == "blk" else 0
    rows, cols = tensor.shape if len(tensor.shape) == 2 else (1, *tensor.shape)
    is_matrix = rows > 1 and name != EMBEDDING
    kind = 1 if parts[-1] == "bias" else 2 if is_matrix else 0
    type = tensor.type
    data = tensor.data.tobytes()
    if type in _BYTES_OF_FLOATS:
        type, data = TensorType.F32, tensor.dequantize().astype("<f4").tobytes()
    data += b"\0" * (-len(data) % 4)
    file.write(struct.pack("<7i", ids[parts[-2].upper()], layer, kind, type, rows, cols, len(data)))
    file.write(data)
