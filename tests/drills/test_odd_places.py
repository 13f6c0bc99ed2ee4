"""Odd places for files: devices, pipes, folders that cannot be written. Commands end in one line, or do without.

To add a case: a command line, and the line it ends with.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from paths import ROOT
from tiny_models import write_tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny(tmp_path / "m.gguf", context=128)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty-00001-of-00002.gguf").touch()
    write_tiny(tmp_path / "empty-00002-of-00002.gguf")
    (tmp_path / "in.jsonl").write_text("{}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "-m", "m.gguf", "--prompt-cache", "fifo", "Hi"], "fifo: is not a regular file"),
        (["run", "-m", "m.gguf", "--prompt-cache", "/dev/zero", "Hi"], "/dev/zero: is not a regular file"),
        (["run", "-m", "m.gguf", "--chat-template", "/dev/zero", "Hi"], "/dev/zero: has more than 16777216 bytes"),
        (["run", "-m", "m.gguf", "--json-schema", "/dev/zero", "Hi"], "/dev/zero: has more than 16777216 bytes"),
        (["run", "-m", "m.gguf", "--regex", b"a\xff", "Hi"], "not UTF-8 text"),
        (["chat", "-m", "m.gguf", "--load", "/dev/zero"], "/dev/zero: not JSON: has more than 67108864 bytes"),
        (["run", "-m", "fifo", "Hi"], "fifo: not a regular file"),
        (["run", "-m", "/dev/zero", "Hi"], "/dev/zero: not a regular file"),
        (["inspect", "empty-00001-of-00002.gguf"], "empty-00001-of-00002.gguf: the file is empty"),
        (["batch", "-m", "m.gguf", "in.jsonl", "/"], "the target is '/'; the path of a file is expected"),
        (["batch", "-m", "m.gguf", "in.jsonl", "folder"], "Is a directory"),
        (["convert", "m.gguf", "no/folder.gguf"], "no/folder.gguf: there is no directory"),
    ],
)
def test_files_that_are_none(folder: Path, arguments: list[str | bytes], message: str) -> None:
    command = [sys.executable, "-m", "pyllama3", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, input="Hi\n", timeout=60
    )
    assert result.returncode in (1, 2)
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_a_conversation_without_a_place_for_its_history(folder: Path) -> None:
    (folder / "file").touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYLLAMA3_CACHE": str(folder / "file" / "cache")}
    arguments = ["-m", "pyllama3", "chat", "-m", "m.gguf", "-n", "1"]
    child = pexpect.spawn(sys.executable, arguments, cwd=str(folder), env=environment, timeout=30)
    child.expect_exact("/help: commands")
    child.send("/quit\r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
