"""Write llama_cpp_rope.json: llama.cpp's logits of a small model with each kind of RoPE scaling.

pip install llama-cpp-python gguf
PYTHONPATH=.:tests/support python tests/data/make_llama_cpp_rope.py
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

from gguf_files import write_llama
from llama_cpp_model import logits_after, opened
from rope_variants import IDS, VARIANTS, metadata

OUTPUT = Path(__file__).with_name("llama_cpp_rope.json")


def last_logits(path: Path) -> list[float]:
    """Return the logits after IDS."""
    with opened(path, 64) as context:
        return [round(float(logit), 6) for logit in logits_after(context, IDS)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.gguf")
        logits = {variant: last_logits(write_llama(path, metadata(variant))) for variant in VARIANTS}
    record = {"llama_cpp_python": version("llama-cpp-python"), "logits": logits}
    OUTPUT.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
