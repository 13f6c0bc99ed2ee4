"""Named tensors in their stored type, and the weights of a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import ModelConfig
from ..tokenizer.vocabulary import Vocabulary
from .mapping import release
from .sampling import Sampling
from .types import TensorType, dequantize


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor as it is stored: `shape` is (rows, columns) or (n,), `shards` its bytes, read-only views of the files.

    There are several shards if it is spread over several files: each has some of the rows, or with
    `is_split_by_columns` some of the columns of each row.
    """

    name: str
    type: TensorType
    shape: tuple[int, ...]
    shards: tuple[NDArray[np.uint8], ...]
    is_split_by_columns: bool = False

    @property
    def nbytes(self) -> int:
        """Size of the stored data in bytes."""
        return sum(shard.nbytes for shard in self.shards)

    @property
    def data(self) -> NDArray[np.uint8]:
        """All bytes, row after row: the only shard itself, or a new copy of several, whose memory is then released."""
        if len(self.shards) == 1:
            return self.shards[0]
        runs = self.shape[0] if self.is_split_by_columns else 1
        data = np.concatenate([shard.reshape(runs, -1) for shard in self.shards], axis=1).reshape(-1)
        data.flags.writeable = False
        self.release()
        return data

    def joined(self) -> Tensor:
        """Return the tensor in one shard."""
        return replace(self, shards=(self.data,), is_split_by_columns=False)

    def release(self) -> None:
        """Free the memory of the shards; when they are read again, they come back from the files."""
        for shard in self.shards:
            release(shard)

    def dequantize(self) -> NDArray[np.float32]:
        """Widen to a new float32 array of `shape`."""
        return dequantize(self.type, self.data, self.shape)


@dataclass(frozen=True, eq=False)
class Weights:
    """A checked model of any format: `tensors` has GGUF names and exactly the tensors of the layout.

    Norms are always F32. Without "output.weight" the token embedding serves as the output matrix.
    """

    path: Path
    config: ModelConfig
    tensors: dict[str, Tensor]
    load_vocabulary: Callable[[], Vocabulary]
    """Reads the vocabulary, which may take a while.

    Raises:
        TokenizerError: it is missing, damaged, of an unsupported kind, or does not fit the tensors.
    """
    load_templates: Callable[[], Mapping[str, str]] = dict
    """Reads the sources of the chat templates that the model brings, by name: "default", "tool_use".

    Raises:
        TemplateError: its file is damaged.
    """
    load_sampling: Callable[[], Sampling] = dict
    """Reads how its makers want tokens to be chosen, if they say so.

    Raises:
        WeightsError: its file is damaged.
    """
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """GGUF keys; empty for other formats."""
    assumed: tuple[str, ...] = ()
    """What was taken for granted because the files are silent about it, or contradict themselves, for people."""

    @property
    def parameters(self) -> int:
        """Numbers in all tensors; an embedding that is also the output matrix counts once."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())

    def close(self) -> None:
        """Forget the tensors; the file is unmapped as soon as nobody else holds a view of it."""
        self.tensors.clear()


def aligned(data: NDArray[np.uint8], type: TensorType) -> NDArray[np.uint8]:
    """Return data as it is, or a copy if the engine could not address it as numbers of a type that is no block type."""
    if data.ctypes.data % type.block_bytes == 0 or not data.size:
        return data
    copy: NDArray[np.uint8] = data.copy()
    copy.flags.writeable = False
    return copy
