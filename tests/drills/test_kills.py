"""Commands that write, killed at random moments: nothing partial has a final name, and nothing is left behind.

The witness is the same command, run to its end. To add a command: a row of `COMMANDS`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paths import ROOT
from tiny_models import write_tiny

KILLS = 5
COMMANDS = {
    "convert": ["convert", "m.gguf", "out.gguf", "--type", "Q8_0", "--force"],
    "batch": ["batch", "-m", "m.gguf", "--exact", "--parallel", "2", "in.jsonl", "out.jsonl"],
    "run": ["run", "-m", "m.gguf", "-q", "--temp", "0", "-n", "4", "--prompt-cache", "cache", "Once upon a time"],
    "explain": ["explain", "-m", "m.gguf", "-s", "1", "-n", "2", "-o", "out.html", "Hi"],
    "chat": ["chat", "-m", "m.gguf", "--temp", "0", "-n", "4"],
}
TYPED = "Hi\nHi\n/save talk.json\n"


def start(folder: Path, name: str) -> subprocess.Popen[str]:
    """Start a command."""
    command = [sys.executable, "-m", "pyllama3", *COMMANDS[name]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYLLAMA3_CACHE": str(folder / "cache-folder")}
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert child.stdin is not None
    if name == "chat":
        child.stdin.write(TYPED)
    child.stdin.close()
    child.stdin = None
    return child


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def comparable(name: str, content: bytes) -> object:
    """Return what must be equal: in answers of a batch, all but what is new each time."""
    if name != "out.jsonl":
        return content
    answers = [json.loads(line)["response"]["body"] for line in content.splitlines()]
    return sorted(answer["choices"][0]["text"] for answer in answers)


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_commands(tmp_path: Path, name: str) -> None:
    write_tiny(tmp_path / "m.gguf", context=128, layers=1)
    bodies = [{"prompt": [1 + n], "max_tokens": 20, "seed": n, "temperature": 1} for n in range(40)]
    requests = [{"custom_id": f"r{n}", "url": "/v1/completions", "body": body} for n, body in enumerate(bodies)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(request) + "\n" for request in requests))
    given = contents(tmp_path)
    begin = time.monotonic()
    child = start(tmp_path, name)
    output = child.communicate()
    assert child.returncode == 0, output
    duration = time.monotonic() - begin
    whole = contents(tmp_path)
    made = whole.keys() - given.keys()
    assert made
    rng = random.Random(f"kills of {name}")
    for _ in range(KILLS):
        for file in made:
            (tmp_path / file).unlink(missing_ok=True)
        child = start(tmp_path, name)
        time.sleep(rng.uniform(0.3, 1) * duration)
        child.kill()
        child.communicate()
        for file in made & contents(tmp_path).keys() - {"out.jsonl"}:
            assert (tmp_path / file).read_bytes() == whole[file]
        both = [start(tmp_path, name) for _ in range(1 if name == "batch" else 2)]
        for child in both:
            output = child.communicate()
            assert child.returncode == 0, output
        after = contents(tmp_path)
        assert after.keys() == whole.keys()
        assert {file: comparable(file, after[file]) for file in made} == {
            file: comparable(file, whole[file]) for file in made
        }
