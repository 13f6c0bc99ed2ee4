"""Weights in an engine."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..arguments import shown, text
from ..backends import Engine
from ..backends.arrays import Pool
from ..config import CACHE_TYPES, PRECISIONS, CacheType, Precision
from ..errors import OptionError, WeightsError
from ..weights import Tensor, TensorType, Weights
from ..weights.layout import EMBEDDING, OUTPUT, OUTPUT_NORM


class Model:
    """What is known of a model, wherever its weights are, and how it is to be computed."""

    def __init__(
        self,
        engine: Engine,
        weights: Weights,
        *,
        threads: int,
        precision: Precision = "default",
        cache_type: CacheType | None = None,
    ) -> None:
        """Choose how to compute.

        With `precision` "exact", states compute and by default cache in single precision only; otherwise the vectors
        that packed matrices are multiplied with are quantized, to 16 bits, or for "fast" to 8 bits where the processor
        gains from that, and caches by default have half precision.

        Raises:
            OptionError: the precision or the cache type is unknown.
        """
        if text("the precision", precision) not in PRECISIONS:
            raise OptionError(f"the precision is {shown(precision)}; allowed: {', '.join(PRECISIONS)}")
        self.engine = engine
        self.config = weights.config
        self.threads = threads
        self.precision = precision
        if cache_type is not None and text("the cache type", cache_type) not in CACHE_TYPES:
            raise OptionError(f"the cache type is {shown(cache_type)}; allowed: {', '.join(CACHE_TYPES)}")
        self.cache_type = cache_type or ("f32" if precision == "exact" else "f16")
        self.activation_bits = _activation_bits(engine, precision)
        """Bits of a number that quantized matrices are multiplied with: 8, 16, or 32 for floats."""
        self._weights = weights

    def __reduce__(self) -> NoReturn:
        raise OptionError("a model in an engine cannot be pickled or copied; load it in each process")

    @property
    def in_engine(self) -> EngineModel:
        """The model, if its weights are in an engine of this process.

        Raises:
            OptionError: they are not.
        """
        raise OptionError("the weights of this model are in other processes, which give logits and nothing else")

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


class EngineModel(Model):
    """A model whose weights the engine has; states only read it, so that many may share it."""

    def __init__(
        self,
        engine: Engine,
        weights: Weights,
        *,
        threads: int,
        precision: Precision = "default",
        cache_type: CacheType | None = None,
    ) -> None:
        """Hand weights to an engine; of a part of a model, those that it has.

        Raises:
            OptionError: the precision or the cache type is unknown.
            WeightsError: the model is larger than the engine allows.
        """
        super().__init__(engine, weights, threads=threads, precision=precision, cache_type=cache_type)
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
        self.has_head = OUTPUT_NORM in weights.tensors
        """Whether it gives logits, which all but the last part of a model do not."""
        self._factors = None
        if config.rope_factors is not None:
            factors = np.array(config.rope_factors, np.float32)
            self._factors = engine.view(factors.view(np.uint8), "float32")
        self.core.set_rope(engine.RopeStyle(config.rope_style), config.rope_theta, self._factors, config.rope_magnitude)
        self._pool = Pool(engine)
        tensors = weights.tensors
        if EMBEDDING in tensors:
            embedding = tensors[EMBEDDING].joined()  # once, where it is the output matrix, too
            # the output matrix, often the largest, is packed first: while it is, it takes its memory twice
            output = {OUTPUT: embedding} if self.has_head else {}
            tensors = {**output, **tensors, EMBEDDING: embedding}
        with ThreadPoolExecutor(threads) as packers:
            for name, tensor in tensors.items():
                self._set_tensor(name, tensor, packers)

    def _set_tensor(self, name: str, tensor: Tensor, packers: Executor) -> None:
        engine = self.engine
        parts = name.split(".")  # "blk.0.attn_q.weight" or "output.weight"
        layer = int(parts[1]) if parts[0] == "blk" else 0
        target = self.core.get_tensor(engine.TensorId[parts[-2].upper()], layer)
        if parts[-1] == "bias":
            target.set_bias(self._pool.copy(tensor.data, "float32"))
            return
        rows, cols = tensor.shape if len(tensor.shape) == 2 else (1, *tensor.shape)
        shape = engine.TensorType(int(tensor.type)), rows, cols
        target.set(*shape, *_arrays(tensor, engine.view))
        if engine.packs and rows > 1 and parts[-2] != "token_embd":
            is_float, length = tensor.type == TensorType.F32, target.get_packed_length()
            memory = self._pool.take("float32" if is_float else "int16", length)
            packed = (None, memory) if is_float else (memory, None)
            target.set_packed(*packed)
            list(packers.map(lambda part: target.pack(part, self.threads), range(self.threads)))
            # what is stored is not read any more; some engines have made copies of it
            target.set(*shape, None, None, None)
            target.set_packed(*packed)
            tensor.release()

    @property
    def in_engine(self) -> EngineModel:
        """The model."""
        return self

    @functools.cached_property
    def output_norm(self) -> Any:
        """Weights (dim) of the norm in front of the output matrix, as methods of the engine take them."""
        return self.engine.view(self._weights.tensors[OUTPUT_NORM].data, "float32")


def _arrays(tensor: Tensor, view: Callable[[NDArray[np.uint8], str], Any]) -> list[Any]:
    """Return the arrays for `Tensor.set`, made by a function: floats, halves and blocks, all None but one."""
    if tensor.type == TensorType.F32:
        position, dtype = 0, "float32"
    elif tensor.type in (TensorType.F16, TensorType.BF16):
        position, dtype = 1, "int16"
    else:
        position, dtype = 2, "uint8"
    return [view(tensor.data, dtype) if at == position else None for at in range(3)]


def _activation_bits(engine: Engine, precision: Precision) -> int:
    if precision == "exact" or not engine.packs:
        return 32
    return 8 if precision == "fast" and engine.Activations.get_max_byte() > 0 else 16
