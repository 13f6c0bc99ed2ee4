"""Measures llama.cpp through the C functions of llama-cpp-python: Python has no part in the measured time."""

from __future__ import annotations

import ctypes
import random
import sys
import time
from typing import Any

import llama_cpp
from protocol import serve

BATCH = 512
LOG_ERROR = 4  # ggml.h, ggml_log_level
ATTENTION = {"flash attention": 1, "plain attention": 0}  # llama.h, llama_flash_attn_type


@llama_cpp.llama_log_callback
def _log(level: int, text: bytes, user_data: Any) -> None:
    """Print errors, and no other messages."""
    if level == LOG_ERROR:
        sys.stderr.write(text.decode())


class Worker:
    """One model with a context for each kind of attention; other settings are llama.cpp's defaults."""

    def __init__(self) -> None:
        llama_cpp.llama_log_set(_log, ctypes.c_void_p())
        llama_cpp.llama_backend_init()
        self._model: Any = None
        self._contexts: dict[str, Any] = {}
        self._positions: dict[str, int] = {}

    def describe(self) -> str:
        """Return name, version and what was compiled in."""
        info = llama_cpp.llama_print_system_info().decode()
        features = [part.split(":")[-1].split("=")[0].strip() for part in info.split("|") if "= 1" in part]
        return f"llama.cpp of llama-cpp-python {llama_cpp.__version__} ({' '.join(features)})"

    def modes(self) -> list[str]:
        """Return the kinds of attention."""
        return list(ATTENTION)

    def load(self, path: str, context: int, threads: int) -> None:
        """Load a model, instead of the one before."""
        if self._model is not None:
            for old in self._contexts.values():
                llama_cpp.llama_free(old)
            llama_cpp.llama_model_free(self._model)
        self._model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
        if not self._model:
            raise ValueError(f"llama.cpp cannot load {path}")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = context
        params.n_batch = params.n_ubatch = BATCH
        params.n_threads = params.n_threads_batch = threads
        for mode, type in ATTENTION.items():
            params.flash_attn_type = type
            self._contexts[mode] = llama_cpp.llama_init_from_model(self._model, params)
            self._positions[mode] = 0
        self._vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))

    def fill(self, mode: str, tokens: int, threads: int) -> None:
        """Make the sequence of a context that long."""
        context = self._contexts[mode]
        llama_cpp.llama_set_n_threads(context, threads, threads)
        if self._positions[mode] < tokens:
            self._decode(mode, self._tokens(tokens - self._positions[mode]), BATCH)
        llama_cpp.llama_memory_seq_rm(llama_cpp.llama_get_memory(context), 0, tokens, -1)
        self._positions[mode] = tokens

    def read(self, mode: str, tokens: int, threads: int) -> float:
        """Return the seconds that a prompt takes."""
        return self._decode(mode, self._tokens(tokens), BATCH)

    def generate(self, mode: str, tokens: int, threads: int) -> float:
        """Return the seconds that so many single tokens take."""
        return self._decode(mode, self._tokens(tokens), 1)

    def _tokens(self, count: int) -> Any:
        return (llama_cpp.llama_token * count)(*random.choices(range(self._vocab_size), k=count))

    def _decode(self, mode: str, tokens: Any, step: int) -> float:
        """Feed tokens in batches, of each of which the last gets logits; return the seconds."""
        batches = []
        for start in range(0, len(tokens), step):
            address = ctypes.byref(tokens, start * ctypes.sizeof(llama_cpp.llama_token))
            pointer = ctypes.cast(address, ctypes.POINTER(llama_cpp.llama_token))
            batches.append(llama_cpp.llama_batch_get_one(pointer, min(step, len(tokens) - start)))
        started = time.perf_counter()
        for batch in batches:
            if llama_cpp.llama_decode(self._contexts[mode], batch) != 0:
                raise ValueError("llama_decode failed")
            llama_cpp.llama_synchronize(self._contexts[mode])
        seconds = time.perf_counter() - started
        self._positions[mode] += len(tokens)
        return seconds


serve(Worker())
