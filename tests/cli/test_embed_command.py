"""`pyllama3 embed`: texts from arguments and from standard input, against `Llama.embed`.

To add a case: arguments with what `Llama.embed` is given for them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import built_engine
from scripted import script, write_scripted

from pyllama3 import Llama


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built_engine("c")
    return write_scripted(tmp_path_factory.mktemp("embed") / "m.gguf", script("hello", "<|eot_id|>"))


def run(path: Path, *arguments: str, lines: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyllama3", "embed", "-m", str(path), *arguments]
    return subprocess.run(command, input=lines, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "lines", "texts", "options"),
    [
        (["hello", "the world"], "not read", ["hello", "the world"], {}),
        ([], "hello\nthe world\n", ["hello", "the world"], {}),
        (["--pooling", "last", "--no-normalize", "hello"], "", ["hello"], {"pooling": "last", "normalize": False}),
    ],
)
def test_vectors_are_those_of_the_library(
    path: Path, arguments: list[str], lines: str, texts: list[str], options: dict[str, Any]
) -> None:
    result = run(path, *arguments, lines=lines)
    with Llama.load(path) as llm:
        expected = llm.embed(texts, **options)
    assert result.returncode == 0
    np.testing.assert_allclose([json.loads(line) for line in result.stdout.splitlines()], expected, rtol=1e-6)


def test_without_a_text(path: Path) -> None:
    result = run(path)
    assert (result.returncode, result.stdout) == (2, "")
    assert "No text: give some as arguments, or lines on standard input." in result.stderr
