"""Write llama_cpp_errors.json: the errors llama.cpp's own quantizers leave on random numbers, to compare ours with.

pip install llama-cpp-python gguf
PYTHONPATH=.:tests/support python tests/data/make_llama_cpp_errors.py
"""

from __future__ import annotations

import ctypes
import json
from importlib.metadata import version
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from blocks import Bytes, ggml
from quantizer_errors import MEASURES, NUMBERS, QUANTIZED_TYPES, Floats, random_numbers, squared_error

from pyllama3.weights import TensorType

OUTPUT = Path(__file__).with_name("llama_cpp_errors.json")
GGML = ctypes.CDLL(str(next(Path(llama_cpp.__file__).parent.glob("lib/*ggml-base.*"))))
GGML.ggml_quantize_chunk.restype = ctypes.c_size_t


def quantized(type: TensorType, values: Floats) -> Bytes:
    """Return the bytes that llama.cpp makes of rows of numbers."""
    rows, columns = values.shape
    data = np.zeros((rows, columns // type.block_size * type.block_bytes), np.uint8)
    pointers = (ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(data.ctypes.data))
    sizes = map(ctypes.c_int64, (0, rows, columns))
    assert GGML.ggml_quantize_chunk(int(type), *pointers, *sizes, None) == data.nbytes
    return data


def main() -> None:
    errors: dict[str, dict[str, dict[str, float]]] = {}
    for type in QUANTIZED_TYPES:
        for numbers in NUMBERS:
            values = random_numbers(numbers)
            result = gguf.dequantize(quantized(type, values), ggml(type))
            measured = {measure: squared_error(values, result, measure) for measure in MEASURES}
            errors.setdefault(type.name, {})[numbers] = measured
    OUTPUT.write_text(json.dumps({"llama_cpp_python": version("llama-cpp-python"), "errors": errors}, indent=1) + "\n")


if __name__ == "__main__":
    main()
