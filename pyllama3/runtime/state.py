"""Key/value caches of some sequences, and batches of rows of them."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import enlarge_pages
from .model import EngineModel
from .threads import Pace, Workers

_CACHE_DTYPES = {"f32": "float32", "f16": "int16", "int8": "int8"}

_LONG = 8
"""Rows from which on a pass is timed as a prompt is."""

BATCH = 128
"""Most rows in a forward pass: weights are read once for all of them, and their activations stay in cache."""

_FIRST = 16
"""Positions that a cache which grows has memory for at first; whole tiles of the engine."""
_LARGEST = 64 << 20
"""Bytes up to which a cache grows by doubling, which moves it; then it gets all that its context needs."""


class State:
    """The caches of some sequences, and the forward pass over rows of them.

    `tokens`, `positions`, `sequence_ids` and `logit_rows` (int32) describe the batch and are filled before `forward`.
    """

    def __init__(
        self,
        model: EngineModel,
        *,
        context: int,
        sequences: int = 1,
        batch: int = BATCH,
        threads: int | None = None,
        grows: bool = False,
    ) -> None:
        """Allocate caches and buffers; by default, as many threads compute as packed the model.

        With `grows`, there is memory for a few positions and rows at first, and `forward` adds what it needs.

        Raises:
            BackendError: there is not enough memory.
        """
        engine = model.engine
        self.model = model
        self.context = context
        self.batch = batch
        self._sequences = sequences
        self.core = engine.Llama3State()
        self.threads = threads or model.threads
        self._workers = Workers(engine, self.core)
        self._paces = {is_long: Pace(self.threads if engine.has_threads else 1) for is_long in (False, True)}
        self.cache: list[Any] = []
        """Memory of the cache, in arrays of the engine: keys and values, and for "int8" what their bytes mean."""
        self._buffers: dict[str, Any] = {}
        self._has_large_pages = False
        self._positions = self._rows = 0
        self._allocate(min(_FIRST, context) if grows else context, min(_LONG, batch) if grows else batch)
        arrays = [engine.empty("int32", batch) for _ in range(4)]
        self.core.set_batch(*arrays)
        self.tokens, self.positions, self.sequence_ids, self.logit_rows = (
            engine.numpy(array, "int32") for array in arrays
        )

    def _reserve(self, positions: int, rows: int = 0) -> None:
        """Have memory for so many positions and rows.

        Raises:
            BackendError: there is not enough memory; the state is as before.
        """
        if positions <= self._positions and rows <= self._rows:
            return
        most = self._positions
        if positions > most:
            most = max(positions, 2 * most)
            if sum(array.nbytes for array in self._as_numpy(self.cache)) // self._positions * most > _LARGEST:
                most = self.context
        self._allocate(min(most, self.context), self._rows if rows <= self._rows else self.batch)

    def _allocate(self, positions: int, rows: int) -> None:
        """Take memory for so many positions and rows, and move there what the cache holds."""
        engine, sizes = self.model.engine, (self.model.core, positions, self._sequences, rows, self.threads)
        measured = engine.Llama3State()
        measured.init(*sizes)
        cache = self.cache
        if positions != self._positions:
            cache = self._empty_cache(measured.get_cache())
            if self.cache:
                held = self._positions
                views = self._views(cache, positions, held), self._views(self.cache, held, held)
                for new, old in zip(*views, strict=True):
                    new[:] = old
        # of the rows of logits few are used, and many in few sessions only
        buffers = {
            buffer: engine.empty("float32", measured.get_buffer_length(buffer), sparse=buffer.name == "LOGITS")
            for buffer in engine.Buffer
        }
        quantized = quantized_memory(self.model, measured.get_input_length())

        def take() -> None:
            self.core.init(*sizes)
            self._set_cache(cache)
            if quantized:
                self.core.get_input().set_quantized(*quantized)
            for buffer, data in buffers.items():
                self.core.set_buffer(buffer, data)
            self._has_large_pages &= positions == self._positions
            self.cache, self._positions, self._rows = cache, positions, rows
            self._buffers = {buffer.name: data for buffer, data in buffers.items()}

        try:
            take()
        except BaseException:  # Ctrl-C: not half of it
            take()
            raise

    def _empty_cache(self, cache: Any) -> list[Any]:
        engine, kind = self.model.engine, self.model.cache_type
        lengths = cache.get_keys_length(), cache.get_values_length()
        arrays = [engine.empty(_CACHE_DTYPES[kind], length, sparse=True) for length in lengths]
        if kind == "int8":
            arrays += [engine.empty("float32", cache.get_scales_length(), sparse=True) for _ in range(2)]
            arrays.append(engine.empty("int16", cache.get_first_keys_length(), sparse=True))
        return arrays

    def _set_cache(self, arrays: Sequence[Any]) -> None:
        cache = self.core.get_cache()
        setters = {"f32": cache.set_memory, "f16": cache.set_half_memory, "int8": cache.set_byte_memory}
        setters[self.model.cache_type](*arrays)

    def _as_numpy(self, arrays: Sequence[Any]) -> list[NDArray[Any]]:
        dtype = _CACHE_DTYPES[self.model.cache_type]
        dtypes = [dtype, dtype, "float32", "float32", "int16"][: len(arrays)]
        return [self.model.engine.numpy(*array) for array in zip(arrays, dtypes, strict=True)]

    def _enlarge_pages(self) -> None:
        """Speed up a cache that is half full, and will take all of its memory for that."""
        for array in self._as_numpy(self.cache)[:2]:
            enlarge_pages(array)
        self._has_large_pages = True

    def cache_views(self, positions: int) -> list[NDArray[Any]]:
        """Return views of the first positions of all sequences in the cache, and some of the keys behind them.

        They are valid until the cache grows.
        """
        self._reserve(positions)
        return self._views(self.cache, self._positions, positions)

    def _views(self, arrays: Sequence[Any], most: int, positions: int) -> list[NDArray[Any]]:
        """Return views of the first positions in arrays with memory for more of them."""
        config = self.model.config
        heads = (config.layers, self._sequences, config.kv_heads)
        keys, values, *others = self._as_numpy(arrays)
        most, tiles = (most + 15) // 16 * 16, (positions + 15) // 16
        # the layout is described in src/cache.fu
        return [
            keys.reshape(*heads, most // 16, -1)[:, :, :, :tiles],
            values.reshape(*heads, -1, most, 16)[:, :, :, :, :positions],
            *(array.reshape(*heads, -1, most)[:, :, :, :, :positions] for array in others[:2]),
            *(array.reshape(*heads, most // 16, -1)[:, :, :, :tiles] for array in others[2:]),
        ]

    @property
    def cache_bytes(self) -> int:
        """Memory that the cache takes at most; the system gives it as it is used."""
        return sum(view.nbytes for view in self.cache_views(self.context))

    def copy(self, source: int, target: int, positions: int) -> None:
        """Copy what the cache holds of the first positions of one sequence to another."""
        for view in self.cache_views(positions):
            view[:, target] = view[:, source]

    def clear(self, sequence: int) -> None:
        """Overwrite what the cache holds of a sequence: sums of attention pass over it, but not over NaN."""
        for view in self.cache_views(self.context):
            view[:, sequence] = 0

    def buffer(self, name: str) -> NDArray[np.float32]:
        """Return a buffer of the engine's `Buffer` enumeration, such as "RESIDUAL", as an array that can be written."""
        return self.model.engine.numpy(self.array(name), "float32")

    def array(self, name: str) -> Any:
        """Return the same buffer as methods of the engine take it."""
        return self._buffers[name]

    def forward(self, rows: int, logit_rows: int, residual: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Run a batch and return a view of the logits (logit_rows, vocab_size), valid until the next batch.

        The logits of a row are the same, to the last bit, whatever other rows there are and however many threads
        compute. A part of a model goes on with the residual stream (rows, dim) of the part before it, and the result
        of all but the last part is the residual stream.

        Raises:
            BackendError: there is not enough memory for so many positions or rows; nothing was computed.
            WeightsError: the engine has met a number that its language cannot convert.
        """
        self._reserve(int(self.positions[:rows].max()) + 1, rows)
        pace = self._paces[rows >= _LONG]
        if residual is not None:
            self.buffer("RESIDUAL")[: residual.size] = residual.ravel()
        threads = pace.choose()
        self._workers.start(threads - 1)
        started = time.monotonic()
        try:
            self.core.forward(rows, logit_rows, threads)
        except (ArithmeticError, struct.error) as error:  # generated Python only
            raise self.model.damage(f"a number in the forward pass is not finite ({error})") from error
        pace.learn(threads, (time.monotonic() - started) / rows)
        if not self._has_large_pages and self._sequences == 1 and 2 * self.positions[rows - 1] >= self._positions:
            self._enlarge_pages()
        if not self.model.has_head:
            dim = self.model.config.dim
            return self.buffer("RESIDUAL")[: rows * dim].reshape(rows, dim)
        vocab_size = self.model.config.vocab_size
        return self.buffer("LOGITS")[: logit_rows * vocab_size].reshape(logit_rows, vocab_size)

    def close(self) -> None:
        """Let the threads go; the state can not be used any more."""
        self._workers.dismiss()


def allow_quantizing(model: EngineModel, activations: Any, length: int) -> None:
    """Give `Activations` of up to `length` numbers the memory for the integers that a model multiplies, if it does.

    Raises:
        BackendError: there is not enough memory.
    """
    if memory := quantized_memory(model, length):
        activations.set_quantized(*memory)


def quantized_memory(model: EngineModel, length: int) -> list[Any]:
    """Return what `Activations.SetQuantized` wants for a model, nothing if it multiplies floats."""
    engine, bits = model.engine, model.activation_bits
    if bits == 32:
        return []
    arrays = [engine.empty("float32", max(1, length // run)) for run in (32, 16)]
    small = engine.empty("int8", max(1, length)) if bits == 8 else None
    return [engine.empty("int16", max(1, length)), small, *arrays]
