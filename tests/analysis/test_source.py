"""The methods of the engine in three languages, and kernels on small numbers.

The witness is the text of src/*.fu and of the generated files. To add a case: a kernel with its numbers in
`EXAMPLES`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engines import built_engine

from pyllama3.analysis.reference import rms_norm, softmax, swiglu
from pyllama3.analysis.source.examples import EXAMPLES, run_example
from pyllama3.analysis.source.methods import GeneratedCode, find_method, read_methods
from pyllama3.backends import Engine, engine_dir
from pyllama3.errors import OptionError, PyLlama3Error


def test_all_public_methods_are_found() -> None:
    """The generated header declares them, and constructors."""
    built_engine("c")
    header = (engine_dir() / "llama3.h").read_text(encoding="utf-8")
    declared = re.findall(r"^\w[\w *]*\b([A-Z]\w*?)_(\w+)\(", header, flags=re.MULTILINE)
    expected = {f"{cls}.{name}" for cls, name in declared if name not in ("New", "Delete")}
    assert len(expected) > 60
    assert expected <= {str(method) for method in read_methods()}


def test_all_methods_are_found_in_generated_code() -> None:
    """But for those that only exist where a symbol is defined, or in the other language."""
    built_engine("c")
    generated = GeneratedCode(engine_dir())
    for method in read_methods():
        python, c = generated.python(method), generated.c(method)
        assert python or c, method
        assert method.fusion.count("{") == method.fusion.count("}"), method
        if c:
            assert (c.count("{"), c.count(f"{method.cls}_{method.name}(") > 0) == (c.count("}"), True), method
        if python:
            assert '"""' not in python, method


@pytest.mark.parametrize("name", ["RmsNorm", "rms_norm", "Kernels.RmsNorm", "kernels.rms_norm"])
def test_names(name: str) -> None:
    assert str(find_method(read_methods(), name)) == "Kernels.RmsNorm"


@pytest.mark.parametrize(
    ("name", "message"),
    [("Init", r"KvCache\.Init, Llama3State\.Init"), ("RmsNor", r"similar: Kernels\.RmsNorm"), ("xyz", "are listed")],
)
def test_names_that_are_not_clear(name: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        find_method(read_methods(), name)


def test_without_sources(tmp_path: Path) -> None:
    with pytest.raises(PyLlama3Error, match="no Fusion sources"):
        read_methods(tmp_path)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(engine: Engine, name: str) -> None:
    run = run_example(engine, find_method(read_methods(), name))
    x, up = np.array([0.5, -1, 2, 0.25]), np.array([1.0, 2, 3, 4])
    turned = (x[0::2] + 1j * x[1::2]) * np.exp(1j * np.pi / np.array([6, 3]))
    halves = (x[:2] + 1j * x[2:]) * np.exp(1j * np.pi / np.array([6, 3]))
    expected = {
        "Kernels.Dot": 5.5,
        "Kernels.Add": {"y": x + up},
        "Kernels.RmsNorm": {"y": rms_norm(x, np.array([1, 1, 0.5, 2]), 1e-5)},
        "Kernels.RopeInterleaved": {"x": np.stack([turned.real, turned.imag], axis=1).ravel()},
        "Kernels.RopeHalfSplit": {"x": np.concatenate([halves.real, halves.imag])},
        "Kernels.Softmax": {"x": softmax(x)},
        "Kernels.SwiGlu": {"gate": swiglu(x, up)},
        "Kernels.ExpNegative": np.exp(-1),
        "Kernels.FloatToHalf": int(np.float16(1 / 3).view(np.int16)),
    }[name]
    if isinstance(expected, dict):
        assert list(run.changed) == list(expected)
        for array, numbers in expected.items():
            np.testing.assert_allclose(run.changed[array], numbers, rtol=1e-6)
    else:
        assert run.changed == {}
        assert run.result == pytest.approx(expected, rel=1e-6)


def command(*arguments: str, columns: int = 80) -> str:
    call = [sys.executable, "-m", "pyllama3", "source", *arguments]
    result = subprocess.run(call, capture_output=True, text=True, env={**os.environ, "COLUMNS": str(columns)})
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_command_puts_languages_beside_or_below_each_other() -> None:
    built_engine("c")
    wide, narrow = command("Kernels.Softmax", columns=200), command("Kernels.Softmax")
    assert re.search(r"^Fusion +\| Python +\| C$", wide, flags=re.MULTILINE)
    assert max(map(len, wide.splitlines())) <= 200
    assert [line for line in narrow.splitlines() if line.startswith("---")] == ["--- Fusion", "--- Python", "--- C"]
    for text in (wide, narrow):
        assert "public static void Softmax(" in text
        assert "def softmax(" in text
        assert "void Kernels_Softmax(" in text
        assert "Afterwards, in c" in text


def test_the_command_lists_methods() -> None:
    assert re.search(r"^  RmsNorm +Normalizes one row by its root mean square", command(), flags=re.MULTILINE)
