"""Write llama_cpp_greedy.json: the tokens llama.cpp generates from our conversions of the checkpoints to GGUF.

Its logits must be those that the code of the checkpoints' makers gave.

pip install llama-cpp-python gguf
PYTHONPATH=.:tests python tests/data/make_llama_cpp_greedy.py
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt

from pyllama3.weights import load_weights
from pyllama3.weights.convert import convert
from pyllama3.weights.mixtures import MIXTURES

OUTPUT = Path(__file__).with_name("llama_cpp_greedy.json")
CHECKPOINTS = sorted(Path(__file__).with_name("checkpoints").iterdir())
F32 = 0
"""Type of the cache, so that everything is computed in single precision."""
MAX_NMSE = 1e-9


def logits_after(context: llama_cpp.llama_context_p, ids: list[int]) -> npt.NDArray[np.float32]:
    """Feed tokens behind those that were fed before, and return the logits after the last."""
    tokens = (llama_cpp.llama_token * len(ids))(*ids)
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, len(ids))):
        raise SystemExit("llama.cpp fails")
    count = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(llama_cpp.llama_get_model(context)))
    return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (count,)).copy()


def greedy(path: Path, checkpoint: Path) -> list[int]:
    """Return as many tokens as are stored with the checkpoint."""
    expected = np.load(checkpoint / "expected.npz")
    model = llama_cpp.llama_model_load_from_file(bytes(path), llama_cpp.llama_model_default_params())
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 256
    parameters.type_k = parameters.type_v = F32
    parameters.flash_attn_type = 0
    context = llama_cpp.llama_init_from_model(model, parameters)
    logits = logits_after(context, expected["ids"].tolist())
    wanted = expected["logits"][-1]
    nmse = float(np.sum((logits - wanted) ** 2) / np.sum(wanted**2))
    print(f"{checkpoint.name}: NMSE of llama.cpp's logits {nmse:.1e}")
    if nmse > MAX_NMSE:
        sys.exit(f"{checkpoint}: llama.cpp computes other logits from the converted model")
    ids = [int(logits.argmax())]
    while len(ids) < len(expected["greedy"]):
        ids.append(int(logits_after(context, ids[-1:]).argmax()))
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return ids


def main() -> None:
    """Convert each checkpoint, generate and write."""
    tokens = {}
    with tempfile.TemporaryDirectory() as folder:
        for checkpoint in CHECKPOINTS:
            path = Path(folder, f"{checkpoint.name}.gguf")
            convert(load_weights(checkpoint), path, MIXTURES["F32"])
            tokens[checkpoint.name] = greedy(path, checkpoint)
    record = {"llama_cpp_python": version("llama-cpp-python"), "greedy": tokens}
    OUTPUT.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
