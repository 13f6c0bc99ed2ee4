"""What is special about the numba backend: how generated Python is rewritten, and where compiled kernels are kept.

The witness is the same module in plain Python. To add a case: a method of `SOURCE` that uses what is to be rewritten.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyllama3.backends import BACKENDS, default_backend, engine_dir, is_available, load_engine
from pyllama3.backends.numba import is_compiled
from pyllama3.backends.numba_source import rewrite
from pyllama3.cli.loading import load_model
from pyllama3.errors import BackendError
from pyllama3.model import Llama

needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="numba is not installed: pip install 'pyllama3[numba]'"
)

SOURCE = '''
from __future__ import annotations
import array
import enum
import math
import struct

def _div(a: int, b: int) -> int:
    """Divide rounding toward zero."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient

class Kind(enum.Enum):
    ONE = 1
    SEVEN = 7

class Kernels:
    _FACTORS = array.array("b", [ -1, 3 ])
    LIMIT = 2

    @staticmethod
    def half(x: float) -> float:
        return 1 if x < 0 else x * 0.5

    @staticmethod
    def scale(y: array.array, x: array.array | None, count: int) -> None:
        """Multiplies."""
        index: int = 0
        while index < count:
            y[index] = x[index] * Kernels._FACTORS[index & 1] if x is not None else Kernels.LIMIT
            index += 1

    @staticmethod
    def bits(y: array.array, x: array.array, count: int) -> None:
        local: array.array = array.array("i", [ 0 ]) * 4
        for i in range(count):
            local[i] += struct.unpack("i", struct.pack("f", x[i]))[0] & ~1
            y[i] = struct.unpack("<f", struct.pack("<I", local[i] & 0xffffffff))[0]

    @staticmethod
    def thirds(y: array.array, x: array.array, count: int) -> None:
        for i in range(count):
            y[i] = math.trunc(x[i] / 3) if x[i] > 100 else x[i] / 3

    @staticmethod
    def literal(y: array.array, x: array.array, count: int) -> None:
        factor: float = 0.3
        for i in range(count):
            y[i] = x[i] * factor

    @staticmethod
    def rounded(y: array.array, x: array.array, count: int) -> None:
        for i in range(count):
            y[i] = _div(round(x[i]), 2) * 2 + round(x[i]) % 2

class Counter:
    def __init__(self):
        self._kind = Kind.ONE
        self._count = 0
        self._seen = None
    _kind: Kind
    _count: int
    _seen: array.array | None

    def init(self, kind: Kind, seen: array.array) -> None:
        self._kind = kind
        self._seen = seen

    def _step(self) -> int:
        match self._kind:
            case Kind.ONE:
                return 1
            case _:
                return 7

    def run(self, limit: int) -> int:
        for i in range(limit):
            self._seen[i] = self._count
            self._count += self._step()
        return self._count
'''


def build(folder: Path, source: str = SOURCE) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "llama3_plain.py").write_text(source)
    return folder


def forget_modules() -> None:
    """Let engines be loaded as by a new process."""
    for name in [name for name in sys.modules if name.startswith("pyllama3_numba_")]:
        del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build, and a cache of its own."""
    forget_modules()
    monkeypatch.setenv("PYLLAMA3_CACHE", str(tmp_path / "cache"))
    return build(tmp_path / "build")


@needs_numba
def test_kernels_compute_as_in_python(folder: Path) -> None:
    engine = load_engine("numba", folder)
    x = np.array([1.5, -2.25, 1000, 7], np.float32)
    read = engine.view(x.view(np.uint8), "float32")
    y = engine.empty("float32", 4)
    result = engine.numpy(y, "float32")
    engine.Kernels.scale(y, read, 4)
    np.testing.assert_array_equal(result, x * [-1, 3, -1, 3])
    engine.Kernels.scale(y, None, 3)
    np.testing.assert_array_equal(result, [2, 2, 2, 21])
    engine.Kernels.bits(y[1:], read[1:], 3)
    np.testing.assert_array_equal(result, [2, -2.25, 1000, 7])
    engine.Kernels.thirds(y, read, 4)
    np.testing.assert_array_equal(result, np.array([0.5, -0.75, 333, np.float32(7) / np.float32(3)], np.float32))
    engine.Kernels.literal(y, read, 4)
    np.testing.assert_array_equal(result, x * np.float32(0.3))  # double precision would give other bits
    engine.Kernels.rounded(y, read, 2)
    np.testing.assert_array_equal(result[:2], [2, -2])
    assert engine.Kernels.half(3.0) == 1.5


def test_all_that_takes_time_is_compiled() -> None:
    """What is left in Python with a loop takes objects; it loops over few rows, layers or threads."""
    path = engine_dir() / "llama3_plain.py"
    if not path.exists():
        pytest.skip(f"{path} has not been built")
    left = {
        f"{owner.name}.{method.name}"
        for owner in ast.parse(rewrite(path.read_text(), path.name)).body
        for method in getattr(owner, "body", [])
        if isinstance(owner, ast.ClassDef) and isinstance(method, ast.FunctionDef)
        if any(isinstance(node, (ast.For, ast.While)) for node in ast.walk(method))
    }
    left = {name for name in left if not name.startswith("Llama3")}
    expected = {"pack", "mat_mul", "_multiply_range", "_multiply_rows"}
    assert left == {
        *(f"Tensor.{name}" for name in expected),
        "Sampler.sample",
        "Sampler._draw",
    }


@needs_numba
@pytest.mark.parametrize(("kind", "step"), [("ONE", 1), ("SEVEN", 7)])
def test_functions_change_fields_and_know_enumerations(folder: Path, kind: str, step: int) -> None:
    engine = load_engine("numba", folder)
    counter, seen = engine.Counter(), engine.empty("int16", 5)
    counter.init(engine.Kind[kind], seen)
    assert (counter.run(2), counter.run(3)) == (2 * step, 5 * step)
    assert type(counter._count) is int
    assert list(seen) == [2 * step, 3 * step, 4 * step, 0, 0]


@needs_numba
def test_compiled_kernels_are_kept_until_the_engine_changes(folder: Path) -> None:
    assert not is_compiled(folder)
    assert compiled_now(folder)
    assert is_compiled(folder)
    forget_modules()
    assert not compiled_now(folder)
    build(folder, SOURCE.replace("x[i] / 3", "x[i] / 4"))
    assert not is_compiled(folder)
    assert compiled_now(folder)


def compiled_now(folder: Path) -> bool:
    """Call a kernel; return whether numba compiled it, rather than to take it from the cache."""
    engine: Any = load_engine("numba", folder)
    engine.Kernels.thirds(engine.empty("float32", 1), engine.empty("float32", 1), 1)
    stats = engine.Kernels_thirds.stats
    assert len(stats.cache_hits) + len(stats.cache_misses) == 1
    return bool(stats.cache_misses)


@needs_numba
def test_a_damaged_engine_is_one_line(folder: Path) -> None:
    build(folder, "class Kernels:\n  def")
    with pytest.raises(BackendError, match=r"llama3_plain\.py: .*; run 'invoke build'") as caught:
        load_engine("numba", folder)
    assert "\n" not in str(caught.value)


def test_without_numba_loading_tells_how_to_get_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "llama3.py").write_text("")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"needs the package numba: pip install 'pyllama3\[numba\]'"):
        load_engine("numba", folder)
    assert not is_available("numba", folder)
    assert default_backend(folder) == "python"


@needs_numba
def test_without_a_c_compiler_numba_is_the_default(folder: Path) -> None:
    (folder / "llama3.py").write_text("")
    assert BACKENDS == ("c", "numba", "python")
    assert default_backend(folder) == "numba"


@needs_numba
@pytest.mark.parametrize("before", [False, True])
def test_the_command_line_says_that_kernels_are_compiled(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], before: bool
) -> None:
    monkeypatch.setenv("PYLLAMA3_BUILD", str(folder))
    monkeypatch.setattr(Llama, "load", lambda *_, **__: None)
    if before:
        compiled_now(folder)
    load_model("m.gguf", backend="numba")
    printed = capsys.readouterr().err
    assert ("compiling kernels" in printed) != before
    assert printed.count("\n") == (0 if before else 1)
