"""Key/value caches of some sequences, and batches of rows of them."""

from __future__ import annotations

import struct
import time
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
        self.core = engine.Llama3State()
        self.threads = threads or model.threads
        self.core.init(model.core, context, sequences, batch, self.threads)
        self._workers = Workers(engine, self.core)
        self._paces = {is_long: Pace(self.threads if engine.has_threads else 1) for is_long in (False, True)}
        self.cache = self._allocate_cache()
        """Memory of the cache, in arrays of the engine: keys and values, and for "int8" what their bytes mean."""
        self._has_large_pages = False
        allow_quantizing(model, self.core.get_input(), self.core.get_input_length())
        self._buffers: dict[str, Any] = {}
        for buffer in engine.Buffer:
            data = engine.empty("float32", self.core.get_buffer_length(buffer))
            self.core.set_buffer(buffer, data)
            self._buffers[buffer.name] = data
        arrays = [engine.empty("int32", batch) for _ in range(4)]
        self.core.set_batch(*arrays)
        self.tokens, self.positions, self.sequence_ids, self.logit_rows = (
            engine.numpy(array, "int32") for array in arrays
        )

    def _allocate_cache(self) -> list[Any]:
        engine, cache, kind = self.model.engine, self.core.get_cache(), self.model.cache_type
        dtype = _CACHE_DTYPES[kind]
        lengths = cache.get_keys_length(), cache.get_values_length()
        arrays = [engine.empty(dtype, length, sparse=True) for length in lengths]
        if kind == "int8":
            arrays += [engine.empty("float32", cache.get_scales_length(), sparse=True) for _ in range(2)]
            arrays.append(engine.empty("int16", cache.get_first_keys_length(), sparse=True))
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
        keys, values, *others = self.cache
        most, tiles = (self.context + 15) // 16 * 16, (positions + 15) // 16
        # the layout is described in src/cache.fu
        return [
            engine.numpy(keys, dtype).reshape(*heads, most // 16, -1)[:, :, :, :tiles],
            engine.numpy(values, dtype).reshape(*heads, -1, most, 16)[:, :, :, :, :positions],
            *(engine.numpy(array, "float32").reshape(*heads, -1, most)[:, :, :, :, :positions] for array in others[:2]),
            *(engine.numpy(array, "int16").reshape(*heads, most // 16, -1)[:, :, :, :tiles] for array in others[2:]),
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

    def forward(self, rows: int, logit_rows: int) -> NDArray[np.float32]:
        """Run a batch and return a view of the logits (logit_rows, vocab_size), valid until the next batch.

        The logits of a row are the same, to the last bit, whatever other rows there are and however many threads
        compute.

        Raises:
            WeightsError: the engine has met a number that its language cannot convert.
        """
        pace = self._paces[rows >= _LONG]
        threads = pace.choose()
        self._workers.start(threads - 1)
        started = time.monotonic()
        try:
            self.core.forward(rows, logit_rows, threads)
        except (ArithmeticError, struct.error) as error:  # generated Python only
            raise self.model.damage(f"a number in the forward pass is not finite ({error})") from error
        pace.learn(threads, (time.monotonic() - started) / rows)
        if not self._has_large_pages and self._sequences == 1 and 2 * self.positions[rows - 1] >= self.context:
            self._enlarge_pages()
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
    engine, bits = model.engine, model.activation_bits
    if bits == 32:
        return
    arrays = [engine.empty("float32", max(1, length // run)) for run in (32, 16)]
    small = engine.empty("int8", max(1, length)) if bits == 8 else None
    activations.set_quantized(engine.empty("int16", max(1, length)), small, *arrays)
