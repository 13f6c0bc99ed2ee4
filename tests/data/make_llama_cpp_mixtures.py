"""Write llama_cpp_mixtures.json: which type llama.cpp gives to each tensor of small models, for each mixture.

pip install llama-cpp-python gguf
PYTHONPATH=.:tests/support python tests/data/make_llama_cpp_mixtures.py
"""

from __future__ import annotations

import ctypes
import json
import tempfile
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3.weights.convert.mixtures import MIXTURES

OUTPUT = Path(__file__).with_name("llama_cpp_mixtures.json")
WIDE: dict[str, Any] = {"dim": 256, "heads": 4, "kv_heads": 2, "head_dim": 64, "hidden_dim": 256}
MODELS: dict[str, dict[str, Any]] = {
    "16 layers": {**WIDE, "layers": 16, "tied": False},
    "30 layers, keys and values shared by 4 heads, tied": {**WIDE, "kv_heads": 1, "layers": 30, "tied": True},
    "80 layers, which marks a 70B": {**WIDE, "layers": 80, "tied": True},
    "rows of 288": {
        "dim": 288,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 72,
        "hidden_dim": 512,
        "layers": 9,
        "tied": False,
    },
    "rows of 72": {"dim": 72, "heads": 4, "kv_heads": 2, "head_dim": 18, "hidden_dim": 32, "layers": 1, "tied": True},
}


def quantized_types(source: Path, result: Path, file_type: int) -> dict[str, str]:
    """Return the types by the short names of tensors, over the layers: "Q6_K*2 Q4_K*14"."""
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = file_type
    if llama_cpp.llama_model_quantize(bytes(source), bytes(result), ctypes.byref(parameters)):
        raise SystemExit(f"llama.cpp does not quantize to file type {file_type}")
    types: dict[str, list[str]] = {}
    for tensor in gguf.GGUFReader(result).tensors:
        if len(tensor.shape) == 2:
            types.setdefault(tensor.name.split(".")[-2], []).append(tensor.tensor_type.name)
    return {
        name: " ".join(f"{type}*{len(list(group))}" for type, group in groupby(layers))
        for name, layers in types.items()
    }


def main() -> None:
    models = []
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "source.gguf"), Path(folder, "result.gguf")
        for label, shape in MODELS.items():
            config = tiny_config(**{key: value for key, value in shape.items() if key != "tied"})
            write_gguf(source, config, random_tensors(config, 1, tied=shape["tied"]))
            types = {
                name: quantized_types(source, result, mixture.file_type)
                for name, mixture in MIXTURES.items()
                if name != "F32"
            }
            models.append({"label": label, "shape": shape, "types": types})
    record = {"llama_cpp_python": version("llama-cpp-python"), "models": models}
    OUTPUT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
