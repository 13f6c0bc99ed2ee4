"""Hostile texts and a terminal: whatever a model or a file says, no command lets it act on the terminal.

The witness is a pseudo-terminal. To add a case: a command line, which is run with a model that is hostile wherever it
can be.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pexpect
import pytest
from gguf_files import LLAMA3_SPECIAL, llama_metadata, llama_tensors, write_gguf
from paths import ROOT

from pyllama3.foreign import printable

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202e"
RAISES = f"{{{{ raise_exception({HOSTILE!r}) }}}}"
ECHOES = "{% for m in messages %}{{ m.content }}{% endfor %}"
ALLOWED = re.compile(
    r"\r\r?\n|\t|\r(?=[ \x1b])|\x1b\[\?25[lh]"  # line feeds, and what a progress bar needs
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models in files of hostile names: one that answers with ESC, and one whose template refuses."""
    folder = tmp_path_factory.mktemp("hostile")
    metadata = llama_metadata() | {"general.name": f"{HOSTILE}\n name"}
    tokens = list(metadata["tokenizer.ggml.tokens"])
    tokens[tokens.index(LLAMA3_SPECIAL[2])] = f"<|{HOSTILE}|>"
    metadata["tokenizer.ggml.tokens"] = tokens
    tensors = llama_tensors()
    # the same token whatever came before: the residual stream is that of its embedding
    tensors["output_norm.weight"] = np.zeros_like(tensors["output_norm.weight"])
    for name, template in (("echoes", ECHOES), ("raises", RAISES)):
        write_gguf(folder / f"{name}{HOSTILE}.gguf", metadata | {"tokenizer.chat_template": template}, tensors)
    (folder / "talk.json").write_text(json.dumps([{"role": HOSTILE}]))
    (folder / "odd.json").write_text(json.dumps([{"role": "user", "content": HOSTILE}]))
    (folder / f"talk{HOSTILE}.json").write_text(json.dumps([{"role": "user", "content": HOSTILE}]))
    (folder / "not a model.gguf").write_text(HOSTILE)
    (folder / "in.jsonl").write_text(json.dumps({"custom_id": HOSTILE}) + "\n")
    (folder / f"notes{HOSTILE}.txt").write_text("notes")
    return folder


def on_a_terminal(folder: Path, *arguments: str, text: str = "") -> str:
    """Run a command line there and return what came."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "PYLLAMA3_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "pyllama3", *arguments]
    child = pexpect.spawn(command[0], command[1:], env=environment, cwd=str(folder), timeout=60, dimensions=(24, 200))
    child.setecho(False)
    if text:
        child.send(text)
    child.expect(pexpect.EOF)
    child.close()
    before: bytes = child.before
    return before.decode("utf-8")


ECHO, RAISE = f"echoes{HOSTILE}.gguf", f"raises{HOSTILE}.gguf"
ESC = ["--temp", "0", "--logit-bias", "27=100", "-n", "3"]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["run", "-m", ECHO, *ESC, "Hi"], r"\x1b\x1b\x1b"),
        (["run", "-m", RAISE, "Hi"], r"pyllama3: chat template: \x1b]0;owned\x07\x1b[2J"),
        (["run", "-m", "not a model.gguf", "Hi"], "not a model.gguf"),
        (["run", "-m", f"no{HOSTILE}", "Hi"], "is unknown"),
        (["run", "-m", f"https://{HOSTILE}/x", "Hi"], "pyllama3: "),
        (["run", "-m", ECHO, f"--{HOSTILE}"], "No such option"),
        (["run", "-m", ECHO, "--logit-bias", HOSTILE, "Hi"], "is not TOKEN=BIAS"),
        (["run", "-m", ECHO, "--regex", f"({HOSTILE}", "Hi"], "pyllama3: "),
        (["run", "-m", ECHO, "--chat-template", HOSTILE, "Hi"], "No such file"),
        (["run", "-m", ECHO, "--prompt-cache", f"talk{HOSTILE}.json", "Hi"], "starts with"),
        (["chat", "-m", ECHO, "--load", "talk.json"], "message 1 has no content"),
        (["tokenize", "-m", ECHO, HOSTILE], r"\x1b"),
        (["tokenize", "-m", ECHO, "--chat", "Hi"], "H\r\n"),
        (["tokenize", "-m", ECHO, "--merges", HOSTILE], r"\x1b"),
        (["inspect", ECHO, "--tensors"], "name"),
        (["inspect", ECHO, "--json"], "tensors"),
        (["inspect", RAISE], "other"),
        (["convert", ECHO, f"new{HOSTILE}.gguf", "--verify"], "bits per weight"),
        (["convert", ECHO, f"new{HOSTILE}.gguf"], "exists already"),
        (["batch", "-m", ECHO, "in.jsonl", f"out{HOSTILE}.jsonl"], "1 refused"),
        (["batch", "-m", ECHO, "in.jsonl", f"notes{HOSTILE}.txt"], "is not the beginning of an answer"),
        (["batch", "-m", ECHO, f"no{HOSTILE}.jsonl", "x"], "no such file"),
        (["explain", "-m", ECHO, *ESC, "-o", f"{HOSTILE}.html", "Hi"], r"\x1b\x1b\x1b"),
        (["compare", "-m", ECHO, "--backends", "c,reference", HOSTILE], "Most probable token"),
        (["perplexity", "-m", ECHO, "-f", f"notes{HOSTILE}.txt"], "pyllama3: "),
        (["source", HOSTILE], "pyllama3: "),
        (["pull", ECHO], "echoes"),
        (["pull", f"hf:{HOSTILE}/x"], "pyllama3: "),
    ],
    ids=lambda value: " ".join(value)[:20].encode("unicode_escape").decode() if isinstance(value, list) else "",
)
def test_no_command_lets_a_text_act(folder: Path, arguments: list[str], shown: str) -> None:
    text = on_a_terminal(folder, *arguments)
    assert shown in text
    assert "Traceback" not in text
    rest = ALLOWED.sub("", text)
    assert printable(rest) == rest


def test_a_conversation_lets_no_text_act(folder: Path) -> None:
    lines = ["Hi", "/context", "/show", "/load talk.json", "/load odd.json", "/context", "/quit"]
    text = on_a_terminal(folder, "chat", "-m", ECHO, *ESC, text="\r".join([*lines, ""]))
    assert r"\x1b\x1b\x1b" in text
    for sequence in ("\x1b]0;", "\x07", "\x9b", "\u202e"):  # others are those of the line editor
        assert sequence not in text.replace("\x1b[6n", "")


def test_a_pipe_gets_the_text_as_it_is(folder: Path) -> None:
    command = [sys.executable, "-m", "pyllama3", "run", "-q", "-m", ECHO, *ESC, "Hi"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, input="")
    assert result.stdout == "\x1b\x1b\x1b\n"
