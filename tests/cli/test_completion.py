"""Shell completion, in the shells themselves.

To add a case: what is typed before Tab, and what must come.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pexpect
import pytest
from paths import ROOT

CASES = {
    "pyllama3 expl": "explain",
    "pyllama3 run --repeat-pe": "repeat-penalty",
    "pyllama3 run -m smol": "smollm2",
    "pyllama3 show some-f": "some-file.gguf",
    "pyllama3 compare --precision def": "default",
}
SHELLS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
SETUP = {
    "bash": 'eval "$(pyllama3 completion bash)"; PS1=; echo READY',
    "zsh": 'autoload -U compinit; compinit -D; eval "$(pyllama3 completion zsh)"; PS1=; echo READY',
    "fish": "pyllama3 completion fish | source; function fish_prompt; end; echo READY",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, and a program named pyllama3."""
    (tmp_path / "some-file.gguf").touch()
    program = tmp_path / "bin" / "pyllama3"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m pyllama3 "$@"\n')
    program.chmod(0o700)
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("typed", CASES)
def test_tab_completes(folder: Path, shell: str, typed: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "TERM": "dumb",
        "HOME": str(folder),
        "INPUTRC": os.devnull,
    }
    child = pexpect.spawn(shell, SHELLS[shell], env=environment, cwd=str(folder), timeout=60, dimensions=(30, 200))
    child.sendline(SETUP[shell])
    child.expect(r"READY\r?\n")
    child.send(f"echo {typed}"[5:] + "\t")
    begun = typed.split()[-1].lstrip("-")
    child.expect(f"{begun}\x07?{CASES[typed].removeprefix(begun)}")  # a bell where there are several
    child.close(force=True)
