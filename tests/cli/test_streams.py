"""The streams of the command line: closed ones, Ctrl-C before there is anything to stop, and who may write to them.

To add a case: a command line.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT
from tiny_models import write_tiny

CLI = ROOT / "pyllama3" / "cli"


@pytest.mark.parametrize("stream", [0, 1, 2])
@pytest.mark.parametrize(
    "arguments",
    ["info", "chat -m m.gguf", "run -m m.gguf -n 1 Hi", "inspect m.gguf", "tokenize -m m.gguf x", "nothing"],
)
def test_streams_that_are_closed(tmp_path: Path, arguments: str, stream: int) -> None:
    write_tiny(tmp_path / "m.gguf")
    before = (tmp_path / "m.gguf").read_bytes()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = f"exec {sys.executable} -m pyllama3 {arguments} {stream}>&-"
    result = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert result.returncode == (2 if arguments == "nothing" else 0)
    assert "Traceback" not in result.stderr
    assert (tmp_path / "m.gguf").read_bytes() == before


@pytest.mark.parametrize("module", ["click", "numpy", "jinja2"])
def test_ctrl_c_while_modules_are_imported(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    write_tiny(tmp_path / "m.gguf")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "pyllama3", "run", "-m", "m.gguf", "-n", "1", "Hi"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, input="")
    assert (result.returncode, result.stderr.strip()) == (130, "")


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.stem)
def test_commands_write_what_terminals_take(path: Path) -> None:
    allowed = {"output": 1, "__init__": 1}  # in `say`, and what click has to say about usage, made printable
    assert path.read_text(encoding="utf-8").count("click.echo(") <= allowed.get(path.stem, 0)
