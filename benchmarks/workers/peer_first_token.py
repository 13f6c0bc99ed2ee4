"""Load a model with llama.cpp, read a prompt and find the first token; print the seconds, without Python's start.

python peer_first_token.py MODEL THREADS CONTEXT PROMPT
"""

from __future__ import annotations

import ctypes
import sys
import time
from typing import Any

import llama_cpp

MOST = 1024


@llama_cpp.llama_log_callback
def _no_log(level: int, text: bytes, user_data: Any) -> None:
    """Drop messages."""


path, threads, context, prompt = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode()
llama_cpp.llama_log_set(_no_log, ctypes.c_void_p())
started = time.perf_counter()
llama_cpp.llama_backend_init()
model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
params = llama_cpp.llama_context_default_params()
params.n_ctx = context
params.n_threads = params.n_threads_batch = threads
state = llama_cpp.llama_init_from_model(model, params)
vocabulary = llama_cpp.llama_model_get_vocab(model)
tokens = (llama_cpp.llama_token * MOST)()
count = llama_cpp.llama_tokenize(vocabulary, prompt, len(prompt), tokens, MOST, False, True)
llama_cpp.llama_decode(state, llama_cpp.llama_batch_get_one(tokens, count))
sampler = llama_cpp.llama_sampler_init_greedy()
llama_cpp.llama_sampler_sample(sampler, state, -1)
print(time.perf_counter() - started)
