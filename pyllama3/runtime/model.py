"""Weights in an engine."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..backends import Engine
from ..backends.arrays import Pool
from ..errors import OptionError, WeightsError
from ..weights import Tensor, TensorType, Weights

CacheType = Literal["f32", "f16", "int8"]
CACHE_TYPES = get_args(CacheType)
"""What keys and values are stored as: numbers of single or half precision, or integers with a scale per head."""


class EngineModel:
    """A model whose weights the engine has; states only read it, so that many may share it."""

    def __init__(
        self,
        engine: Engine,
        weights: Weights,
        *,
        threads: int,
        exact: bool = False,
        cache_type: CacheType | None = None,
    ) -> None:
        """Hand weights to an engine.

        With `exact`, states compute and by default cache in single precision only; otherwise activations are quantized
        to 8 bits where that is faster, and caches by default have half precision.

        Raises:
            OptionError: the cache type is unknown.
            WeightsError: the model is larger than the engine allows.
        """
        self.engine = engine
        self.config = weights.config
        self.threads = threads
        self.exact = exact
        self.cache_type = cache_type or ("f32" if exact else "f16")
        if self.cache_type not in CACHE_TYPES:
            raise OptionError(f"the cache type is '{cache_type}'; allowed: {', '.join(CACHE_TYPES)}")
        self.quantizes = engine.packs and engine.Int8.is_fast() and not exact
        """Whether activations are quantized where that is faster."""
        self._weights = weights
        config = weights.config
        limits = engine.Llama3Model
        for name, found, most in (
            ("layers", config.layers, limits.MAX_LAYERS),
            ("a head dimension of", config.head_dim, limits.MAX_HEAD_DIM),
        ):
            if found > most:
                raise WeightsError(f"{weights.path}: {name} {found}; the engine allows {most}")
        self.core = engine.Llama3Model()
        self.core.set_shape(
            config.dim,
            config.hidden_dim,
            config.layers,
            config.heads,
            config.kv_heads,
            config.head_dim,
            config.vocab_size,
            config.norm_eps,
        )
        self._factors = None
        if config.rope_factors is not None:
            factors = np.array(config.rope_factors, np.float32)
            self._factors = engine.view(factors.view(np.uint8), "float32")
        self.core.set_rope(engine.RopeStyle(config.rope_style), config.rope_theta, self._factors, config.rope_magnitude)
        self._pool = Pool(engine)
        # the output matrix, often the largest, is packed first: while it is, it takes its memory twice
        embedding = weights.tensors["token_embd.weight"].joined()  # once, where it is the output matrix, too
        tensors = {"output.weight": embedding, **weights.tensors, "token_embd.weight": embedding}
        for name, tensor in tensors.items():
            self._set_tensor(name, tensor)

    def _set_tensor(self, name: str, tensor: Tensor) -> None:
        engine = self.engine
        parts = name.split(".")  # "blk.0.attn_q.weight" or "output.weight"
        layer = int(parts[1]) if parts[0] == "blk" else 0
        target = self.core.get_tensor(engine.TensorId[parts[-2].upper()], layer)
        rows, cols = tensor.shape if len(tensor.shape) == 2 else (1, *tensor.shape)
        shape = engine.TensorType(int(tensor.type)), rows, cols
        target.set(*shape, None, None, None)
        is_multiplied = engine.packs and rows > 1 and parts[-2] != "token_embd"
        words = target.get_words_length(not self.quantizes) if is_multiplied else 0
        # what is multiplied as it is stored is also read faster from the pool's pages
        view = self._pool.copy if is_multiplied and words == 0 else engine.view
        target.set(*shape, *_arrays(tensor, view))
        if words > 0:
            minimums, subscales = target.get_minimums_length(), target.get_subscales_length()
            target.pack(
                self._pool.take("int32", words),
                self._pool.take("int16", target.get_scales_length()),
                self._pool.take("int16", minimums) if minimums > 0 else None,
                self._pool.take("int8", subscales) if subscales > 0 else None,
                self.threads,
            )
        if is_multiplied:
            tensor.release()

    def check_logits(self, logits: NDArray[np.float32]) -> None:
        """Check that logits (..., vocab_size) which the model gave are numbers.

        Raises:
            WeightsError: some are not, so that no token can be chosen by them.
        """
        finite = np.isfinite(logits)
        if not finite.all():
            raise self.damage(
                f"{finite.size - np.count_nonzero(finite)} of {finite.size} logits are not finite numbers"
            )

    def damage(self, found: str) -> WeightsError:
        """Return the error for numbers that good weights do not lead to."""
        return WeightsError(f"{self._weights.path}: {found}; the weights are damaged, or too large for this precision")

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest that tells models apart: of the hyper-parameters, and of both ends of each tensor."""
        digest = hashlib.blake2b(repr(self.config).encode(), digest_size=16)
        for name, tensor in sorted(self._weights.tensors.items()):
            digest.update(f"{name} {tensor.type} {tensor.shape}".encode())
            for shard in tensor.shards:
                digest.update(shard[:4096].tobytes() + shard[-4096:].tobytes())
        return digest.hexdigest()


def _arrays(tensor: Tensor, view: Callable[[NDArray[np.uint8], str], Any]) -> list[Any]:
    """Return the arrays for `Tensor.set`, made by a function: floats, halves and blocks, all None but one."""
    if tensor.type == TensorType.F32:
        position, dtype = 0, "float32"
    elif tensor.type in (TensorType.F16, TensorType.BF16):
        position, dtype = 1, "int16"
    else:
        position, dtype = 2, "uint8"
    return [view(tensor.data, dtype) if at == position else None for at in range(3)]
