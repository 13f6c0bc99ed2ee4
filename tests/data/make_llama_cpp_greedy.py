"""Write llama_cpp_greedy.json: the tokens llama.cpp generates from our conversions of the checkpoints to GGUF.

Its logits must be those that the code of the checkpoints' makers gave.

pip install llama-cpp-python gguf
PYTHONPATH=.:tests/support python tests/data/make_llama_cpp_greedy.py
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from llama_cpp_model import logits_after, opened

from pyllama3.weights import load_weights
from pyllama3.weights.convert.convert import convert
from pyllama3.weights.convert.mixtures import MIXTURES

OUTPUT = Path(__file__).with_name("llama_cpp_greedy.json")
CHECKPOINTS = sorted(Path(__file__).with_name("checkpoints").iterdir())
MAX_NMSE = 1e-9


def greedy(path: Path, checkpoint: Path) -> list[int]:
    """Return as many tokens as are stored with the checkpoint."""
    expected = np.load(checkpoint / "expected.npz")
    with opened(path, 256) as context:
        logits = logits_after(context, expected["ids"].tolist())
        wanted = expected["logits"][-1]
        nmse = float(np.sum((logits - wanted) ** 2) / np.sum(wanted**2))
        print(f"{checkpoint.name}: NMSE of llama.cpp's logits {nmse:.1e}")
        if nmse > MAX_NMSE:
            sys.exit(f"{checkpoint}: llama.cpp computes other logits from the converted model")
        ids = [int(logits.argmax())]
        while len(ids) < len(expected["greedy"]):
            ids.append(int(logits_after(context, ids[-1:]).argmax()))
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
