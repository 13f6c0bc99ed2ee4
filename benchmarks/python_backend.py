"""Multiply-adds per second of generated Python: with its native blocks, and of the plain loops that these replace.

    python benchmarks/python_backend.py

Both are timed in turns, by processor time, on products of one vector with a random matrix; the best of each counts.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pyllama3.backends import load_engine, python
from pyllama3.weights import TensorType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.running import ROOT
from tools.transpilers import find_transpiler

ROWS, COLS, ROUNDS = 32, 768, 5


def multiply(engine: Any, type: TensorType) -> float:
    """Return the seconds that one product takes."""
    size = ROWS * COLS // type.block_size * type.block_bytes
    data = np.random.default_rng(1).integers(0, 64, size, np.uint8)  # no exponent of infinities
    views = {"float32": None, "int16": None, "uint8": None}
    dtype = "float32" if type == TensorType.F32 else "int16" if type.block_size == 1 else "uint8"
    views[dtype] = engine.view(data, dtype)
    tensor, x = engine.Tensor(), engine.Activations()
    tensor.set(engine.TensorType(int(type)), ROWS, COLS, *views.values())
    vector, y = engine.empty("float32", COLS), engine.empty("float32", ROWS)
    engine.numpy(vector, "float32")[:] = np.random.default_rng(1).normal(size=COLS)
    x.set(vector, COLS)
    start = time.process_time()
    tensor.mat_mul(y, x, 1, 1)
    return time.process_time() - start


def main() -> None:
    """Print a table."""
    core = load_engine("python")
    with tempfile.TemporaryDirectory() as folder:
        find_transpiler("auto", print).translate(sorted((ROOT / "src").glob("*.fu")), [], Path(folder, "llama3.py"))
        plain = python.load(Path(folder))
    print(f"Python {platform.python_version()}, millions of multiply-adds per second\n")
    print("| type | plain loops | native blocks | ratio |\n|---|---|---|---|")
    for type in TensorType:
        times = [(multiply(plain, type), multiply(core, type)) for _ in range(ROUNDS)]
        slow, fast = (ROWS * COLS / min(column) / 1e6 for column in zip(*times, strict=True))
        print(f"| {type.name} | {slow:.2f} | {fast:.2f} | {fast / slow:.1f} |")


if __name__ == "__main__":
    main()
