"""Which tensors a Llama model has, under their GGUF names, whatever file they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..config import ModelConfig, RopeStyle
from ..errors import WeightsError
from .tensor import Tensor
from .types import TensorType

EMBEDDING = "token_embd.weight"
OUTPUT_NORM = "output_norm.weight"
OUTPUT = "output.weight"
"""Optional: a model without it is tied and uses the embedding as its output matrix."""


def expected_shapes(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor but biases, the optional output matrix last; matrices are (outputs, inputs)."""
    for name, shape in _all_shapes(config):
        if not _is_bias(name):
            yield name, shape


def _is_bias(name: str) -> bool:
    return name.endswith(".bias")


def _all_shapes(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor that there may be; any matrix of a layer may have a bias."""
    dim, hidden_dim, kv_dim = config.dim, config.hidden_dim, config.kv_dim
    q_dim = config.heads * config.head_dim
    layer = {
        "attn_norm": (dim,),
        "attn_q": (q_dim, dim),
        "attn_k": (kv_dim, dim),
        "attn_v": (kv_dim, dim),
        "attn_output": (dim, q_dim),
        "ffn_norm": (dim,),
        "ffn_gate": (hidden_dim, dim),
        "ffn_up": (hidden_dim, dim),
        "ffn_down": (dim, hidden_dim),
    }
    yield EMBEDDING, (config.vocab_size, dim)
    for n in range(config.layers):
        for name, shape in layer.items():
            yield f"blk.{n}.{name}.weight", shape
            if len(shape) == 2:
                yield f"blk.{n}.{name}.bias", shape[:1]
    yield OUTPUT_NORM, (dim,)
    yield OUTPUT, (config.vocab_size, dim)


def gguf_row_order(name: str, config: ModelConfig) -> NDArray[np.intp] | None:
    """Return the rows of a tensor in GGUF's order, None if they are in it.

    The "llama" architecture rotates neighbouring rows of q and k. Half-split heads have the first of each pair in their
    first half, the second in the other one.
    """
    heads = {"attn_q": config.heads, "attn_k": config.kv_heads}.get(name.split(".")[-2])
    if heads is None or config.rope_style == RopeStyle.INTERLEAVED:
        return None
    order = np.arange(heads * config.head_dim).reshape(heads, 2, -1)
    return np.ascontiguousarray(order.transpose(0, 2, 1)).ravel()


def check_tensors(path: Path, config: ModelConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors in the order of the layout, norms and biases widened to F32.

    Raises:
        WeightsError: a tensor is missing, has another shape, or would be ignored by a Llama model.
    """
    checked = known_tensors(path, config, tensors)
    for name in tensors:
        if name not in checked:
            raise WeightsError(f"{path}: tensor {name!r:.80} is not part of a Llama model with {config.layers} layers")
    return checked


def known_tensors(path: Path, config: ModelConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those tensors that a Llama model has, as `check_tensors` does.

    Raises:
        WeightsError: a tensor is missing, or has another shape.
    """
    checked = {}
    for name, shape in _all_shapes(config):
        if name not in tensors:
            if name == OUTPUT or _is_bias(name):
                continue
            raise WeightsError(f"{path}: missing tensor {name!r:.80}")
        tensor = tensors[name]
        if tensor.shape != shape:
            raise WeightsError(f"{path}: tensor {name!r:.80} has shape {tensor.shape}; the metadata asks for {shape}")
        checked[name] = _as_f32(tensor) if len(shape) == 1 else tensor
    return checked


def _as_f32(tensor: Tensor) -> Tensor:
    if tensor.type == TensorType.F32:
        return tensor
    data = tensor.dequantize().view(np.uint8)
    data.flags.writeable = False
    return Tensor(tensor.name, TensorType.F32, tensor.shape, (data,))
