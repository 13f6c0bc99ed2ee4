"""Parts of a model: neighbouring layers, the first with the embedding, the last with the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import OptionError
from .layout import EMBEDDING, OUTPUT, OUTPUT_NORM
from .tensor import Tensor, Weights


def split_layers(weights: Weights, count: int) -> list[range]:
    """Return the layers of so many parts, which need about the same memory, and thus time.

    Raises:
        OptionError: there are more parts than layers.
    """
    layers = weights.config.layers
    if not 1 <= count <= layers:
        raise OptionError(f"a pipeline of {count} does not work for {layers} layers; allowed: 1 to {layers}")
    head = weights.tensors.get(OUTPUT, weights.tensors[EMBEDDING]).nbytes
    sizes = [sum(tensor.nbytes for tensor in _of_layer(weights, layer).values()) for layer in range(layers)]
    parts: list[range] = []
    start, left = 0, sum(sizes) + head
    for number in range(count, 1, -1):
        end, size = start + 1, sizes[start]
        while end < layers - (number - 1) and size + sizes[end] / 2 < left / number:
            size += sizes[end]
            end += 1
        parts.append(range(start, end))
        start, left = end, left - size
    return [*parts, range(start, layers)]


def take_part(weights: Weights, layers: range) -> Weights:
    """Return weights with some neighbouring layers, numbered from 0 on, and with what the first or last part has."""
    tensors: dict[str, Tensor] = {}
    is_last = layers.stop == weights.config.layers
    if layers.start == 0 or (is_last and OUTPUT not in weights.tensors):
        tensors[OUTPUT if layers.start else EMBEDDING] = weights.tensors[EMBEDDING]
    for number, layer in enumerate(layers):
        for name, tensor in _of_layer(weights, layer).items():
            tensors[name.replace(f"blk.{layer}.", f"blk.{number}.", 1)] = tensor
    if is_last:
        tensors |= {name: weights.tensors[name] for name in (OUTPUT_NORM, OUTPUT) if name in weights.tensors}
    return replace(weights, config=replace(weights.config, layers=len(layers)), tensors=tensors)


def part_bytes(part: Weights) -> int:
    """Return the memory that the weights of a part take; of an embedding, only the rows of tokens are read."""
    tensors: Sequence[Tensor] = [tensor for name, tensor in part.tensors.items() if name != EMBEDDING]
    tied = EMBEDDING in part.tensors and OUTPUT_NORM in part.tensors and OUTPUT not in part.tensors
    return sum(tensor.nbytes for tensor in tensors) + (part.tensors[EMBEDDING].nbytes if tied else 0)


def _of_layer(weights: Weights, layer: int) -> dict[str, Tensor]:
    prefix = f"blk.{layer}."
    return {name: tensor for name, tensor in weights.tensors.items() if name.startswith(prefix)}
