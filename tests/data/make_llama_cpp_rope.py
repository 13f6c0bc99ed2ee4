"""Write llama_cpp_rope.json: llama.cpp's logits of a small model with each kind of RoPE scaling.

pip install llama-cpp-python gguf
PYTHONPATH=.:tests python tests/data/make_llama_cpp_rope.py
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import llama_cpp
import numpy as np
from gguf_files import write_llama
from rope_variants import IDS, VARIANTS, metadata

OUTPUT = Path(__file__).with_name("llama_cpp_rope.json")
F32 = 0
"""Type of the cache, so that everything is computed in single precision."""


def last_logits(path: Path) -> list[float]:
    """Return the logits after IDS."""
    model = llama_cpp.llama_model_load_from_file(bytes(path), llama_cpp.llama_model_default_params())
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 64
    parameters.type_k = parameters.type_v = F32
    parameters.flash_attn_type = 0
    context = llama_cpp.llama_init_from_model(model, parameters)
    tokens = (llama_cpp.llama_token * len(IDS))(*IDS)
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, len(IDS))):
        raise SystemExit(f"{path}: llama.cpp fails")
    count = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (count,))
    result = [round(float(logit), 6) for logit in logits]
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return result


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.gguf")
        logits = {variant: last_logits(write_llama(path, metadata(variant))) for variant in VARIANTS}
    record = {"llama_cpp_python": version("llama-cpp-python"), "logits": logits}
    OUTPUT.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
