"""Weights in an engine, and the states (key/value caches) that are fed with tokens."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .backends import Engine
from .backends.memory import Pool, enlarge_pages
from .config import ModelConfig
from .errors import ContextError, OptionError, WeightsError
from .weights import Tensor, TensorType, Weights

CacheType = Literal["f32", "f16", "int8"]
CACHE_TYPES = get_args(CacheType)
"""What keys and values are stored as: numbers of single or half precision, or integers with a scale per head."""

_CACHE_DTYPES = {"f32": "float32", "f16": "int16", "int8": "int8"}

BATCH = 128
"""Most rows in a forward pass: weights are read once for all of them, and their activations stay in cache."""


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
        self.native = engine.Llama3Model()
        self.native.set_shape(
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
        self.native.set_rope(
            engine.RopeStyle(config.rope_style), config.rope_theta, self._factors, config.rope_magnitude
        )
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
        target = self.native.get_tensor(engine.TensorId[parts[-2].upper()], layer)
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

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest that tells models apart: of the hyper-parameters, and of both ends of each tensor."""
        digest = hashlib.blake2b(repr(self.config).encode(), digest_size=16)
        for name, tensor in sorted(self._weights.tensors.items()):
            digest.update(f"{name} {tensor.type} {tensor.shape}".encode())
            for part in tensor.parts:
                digest.update(part[:4096].tobytes() + part[-4096:].tobytes())
        return digest.hexdigest()


class State:
    """The caches of some sequences, and the forward pass over rows of them.

    `tokens`, `positions`, `sequence_ids` and `logit_rows` (int32) describe the batch and are filled before `forward`.
    """

    def __init__(
        self, model: EngineModel, *, context: int, sequences: int = 1, batch: int = BATCH, threads: int | None = None
    ) -> None:
        """Allocate caches and buffers; by default, as many threads compute as packed the model.

        Raises:
            BackendError: there is not enough memory.
        """
        engine = model.engine
        self.model = model
        self.context = context
        self.batch = batch
        self._sequences = sequences
        self.native = engine.Llama3State()
        self.native.init(model.native, context, sequences, batch, threads or model.threads)
        self.cache = self._allocate_cache()
        """Memory of the cache, in arrays of the engine: keys and values, and for "int8" their scales."""
        self._has_large_pages = False
        if model.quantizes:
            allow_quantizing(engine, self.native.get_input(), self.native.get_input_length())
        self._buffers: dict[str, Any] = {}
        for buffer in engine.Buffer:
            data = engine.empty("float32", self.native.get_buffer_length(buffer))
            self.native.set_buffer(buffer, data)
            self._buffers[buffer.name] = data
        arrays = [engine.empty("int32", batch) for _ in range(4)]
        self.native.set_batch(*arrays)
        self.tokens, self.positions, self.sequence_ids, self.logit_rows = (
            engine.numpy(array, "int32") for array in arrays
        )

    def _allocate_cache(self) -> list[Any]:
        engine, cache, kind = self.model.engine, self.native.get_cache(), self.model.cache_type
        dtype = _CACHE_DTYPES[kind]
        lengths = cache.get_keys_length(), cache.get_values_length()
        arrays = [engine.empty(dtype, length, sparse=True) for length in lengths]
        if kind == "int8":
            arrays += [engine.empty("float32", cache.get_scales_length()) for _ in range(2)]
        {"f32": cache.set_memory, "f16": cache.set_half_memory, "int8": cache.set_byte_memory}[kind](*arrays)
        return arrays

    def _enlarge_pages(self) -> None:
        """Speed up a cache that is half full, and will take all of its memory for that."""
        dtype = _CACHE_DTYPES[self.model.cache_type]
        for array in self.cache[:2]:
            enlarge_pages(self.model.engine.numpy(array, dtype))
        self._has_large_pages = True

    def cache_views(self, positions: int) -> list[NDArray[Any]]:
        """Return views of the first positions of all sequences in the cache, and some of the keys behind them."""
        config, engine = self.model.config, self.model.engine
        dtype = _CACHE_DTYPES[self.model.cache_type]
        heads = (config.layers, self._sequences, config.kv_heads)
        keys, values, *scales = self.cache
        most, tiles = (self.context + 15) // 16 * 16, (positions + 15) // 16
        # the layout is described in src/cache.fu
        return [
            engine.numpy(keys, dtype).reshape(*heads, most // 16, -1)[:, :, :, :tiles],
            engine.numpy(values, dtype).reshape(*heads, -1, most, 16)[:, :, :, :, :positions],
            *(engine.numpy(array, "float32").reshape(*heads, most)[:, :, :, :positions] for array in scales),
        ]

    def buffer(self, name: str) -> NDArray[np.float32]:
        """Return a buffer of the engine's `Buffer` enumeration, such as "RESIDUAL", as an array that can be written."""
        return self.model.engine.numpy(self._buffers[name], "float32")

    def forward(self, rows: int, logit_rows: int, *, steady: bool = False) -> NDArray[np.float32]:
        """Run a batch and return a view of the logits (logit_rows, vocab_size), valid until the next batch.

        With `steady` they are the same, to the last bit, as those of batches of one row.
        """
        self.native.get_input().set_steady(steady)
        self.native.forward(rows, logit_rows)
        if not self._has_large_pages and self._sequences == 1 and 2 * self.positions[rows - 1] >= self.context:
            self._enlarge_pages()
        vocab_size = self.model.config.vocab_size
        return self.buffer("LOGITS")[: logit_rows * vocab_size].reshape(logit_rows, vocab_size)


class Session:
    """One sequence: tokens are fed, logits come back. A session is used by one thread at a time."""

    def __init__(self, model: EngineModel, *, context: int, threads: int | None = None) -> None:
        self._state = State(model, context=context, threads=threads)
        self._ids: list[int] = []

    @property
    def model(self) -> EngineModel:
        """Model that the session belongs to."""
        return self._state.model

    @property
    def config(self) -> ModelConfig:
        """Hyper-parameters of the model."""
        return self._state.model.config

    @property
    def engine(self) -> Engine:
        """Engine that computes."""
        return self._state.model.engine

    @property
    def context(self) -> int:
        """How many tokens the session can hold."""
        return self._state.context

    @property
    def position(self) -> int:
        """How many tokens the session holds."""
        return len(self._ids)

    @property
    def ids(self) -> tuple[int, ...]:
        """Tokens the session holds."""
        return tuple(self._ids)

    def feed(self, ids: Sequence[int], *, all_logits: bool = False, steady: bool = False) -> NDArray[np.float32]:
        """Append tokens and return the logits after the last (vocab_size,), or after each (len(ids), vocab_size).

        With `steady` they are the same, to the last bit, as when the tokens are fed one by one.

        Raises:
            ContextError: the tokens do not fit into the context; none of them was fed.
            OptionError: there are no tokens, or one is not in the vocabulary.
        """
        self.check(ids)
        state = self._state
        results = []
        for start in range(0, len(ids), state.batch):
            chunk = ids[start : start + state.batch]
            rows = len(chunk)
            state.tokens[:rows] = chunk
            state.positions[:rows] = np.arange(self.position, self.position + rows)
            state.sequence_ids[:rows] = 0
            wanted = rows if all_logits else int(start + rows == len(ids))
            state.logit_rows[:wanted] = np.arange(rows - wanted, rows)
            logits = state.forward(rows, wanted, steady=steady)
            self._ids += map(int, chunk)
            if wanted:
                results.append(logits.copy())
        return np.concatenate(results) if all_logits else results[-1][0]

    def check(self, ids: Sequence[int]) -> None:
        """Check that `feed` would take some tokens.

        Raises:
            ContextError: they do not fit into the context.
            OptionError: there are none, or one is not in the vocabulary.
        """
        check_ids(ids, self.config.vocab_size)
        if self.position + len(ids) > self.context:
            raise ContextError(
                f"{self.position} + {len(ids)} tokens do not fit into the context of {self.context} tokens"
            )

    def rewind(self, position: int) -> None:
        """Forget all tokens from a position on.

        Raises:
            OptionError: the session does not hold that many tokens.
        """
        if not 0 <= position <= self.position:
            raise OptionError(f"cannot rewind to {position}; the session holds {self.position} tokens")
        del self._ids[position:]

    def reuse(self, ids: Sequence[int]) -> Sequence[int]:
        """Forget all tokens but those that `ids` begins with, and return the rest of `ids`, which is to be fed.

        The rest is at least the last token, since its logits are not kept.
        """
        same = 0
        for ours, theirs in zip(self._ids, ids[:-1], strict=False):
            if ours != theirs:
                break
            same += 1
        self.rewind(same)
        return ids[same:]

    def cache_views(self, positions: int) -> list[NDArray[Any]]:
        """Return what the model made of the first tokens, as views of the caches; `restore` puts it in force again."""
        return self._state.cache_views(positions)

    def restore(self, ids: Sequence[int]) -> None:
        """Hold tokens without computing anything: the caller has filled `cache_views(len(ids))`."""
        self._ids = list(ids)

    def close(self) -> None:
        """Free the caches; the session can not be used any more."""
        vars(self).pop("_state", None)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def allow_quantizing(engine: Engine, activations: Any, length: int) -> None:
    """Give `Activations` of up to `length` numbers the memory for 8-bit integers, and scales and sums of blocks.

    Raises:
        BackendError: there is not enough memory.
    """
    lengths = (("int8", length), ("float32", length // 32), ("float32", length // 16))
    activations.set_quantized(*(engine.empty(dtype, max(1, count)) for dtype, count in lengths))


def check_ids(ids: Sequence[int], vocab_size: int) -> None:
    """Check that there are tokens, and that they are in the vocabulary.

    Raises:
        OptionError: there are none, or one is not.
    """
    if len(ids) == 0:
        raise OptionError("there are no tokens to feed")
    for id in ids:
        if not 0 <= id < vocab_size:
            raise OptionError(f"token {id} is not in the vocabulary; allowed: 0 to {vocab_size - 1}")


def _arrays(tensor: Tensor, view: Callable[[NDArray[np.uint8], str], Any]) -> list[Any]:
    """Return the arrays for `Tensor.set`, made by a function: floats, halves and blocks, all None but one."""
    if tensor.type == TensorType.F32:
        position, dtype = 0, "float32"
    elif tensor.type in (TensorType.F16, TensorType.BF16):
        position, dtype = 1, "int16"
    else:
        position, dtype = 2, "uint8"
    return [view(tensor.data, dtype) if at == position else None for at in range(3)]
