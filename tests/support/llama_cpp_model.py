"""llama.cpp as a witness: the logits of a model, all of it computed in single precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt

_F32 = 0  # ggml.h, ggml_type


@contextmanager
def opened(path: Path, size: int) -> Iterator[llama_cpp.llama_context_p]:
    """Yield a context of some tokens for a GGUF file."""
    model = llama_cpp.llama_model_load_from_file(bytes(path), llama_cpp.llama_model_default_params())
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = size
    parameters.type_k = parameters.type_v = _F32
    parameters.flash_attn_type = 0
    context = llama_cpp.llama_init_from_model(model, parameters)
    yield context
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)


def logits_after(context: llama_cpp.llama_context_p, ids: list[int]) -> npt.NDArray[np.float32]:
    """Feed tokens behind those that were fed before, and return the logits after the last (vocab_size,)."""
    tokens = (llama_cpp.llama_token * len(ids))(*ids)
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, len(ids))):
        raise SystemExit("llama.cpp fails")
    count = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(llama_cpp.llama_get_model(context)))
    return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (count,)).copy()
