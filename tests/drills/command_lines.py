"""Odd command lines: good ones with options and values put in that nobody means.

A case runs in a fork, which ends with 0, 1 or 2 and without a traceback. To add a command: a row of `GOOD`.
"""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import click
from tiny_models import write_tiny

from pyllama3.cli import cli, main

SECONDS = 10
_MODEL = ("-m", "m.gguf")
GOOD: dict[str, list[tuple[str, ...]]] = {
    "run": [_MODEL, ("-n", "2"), ("Hi",)],
    "chat": [_MODEL, ("-n", "2")],
    "batch": [_MODEL, ("in.jsonl",), ("out.jsonl",)],
    "tokenize": [_MODEL, ("Hi",)],
    "pull": [("m.gguf",)],
    "inspect": [("m.gguf",)],
    "convert": [("m.gguf",), ("out.gguf",)],
    "bench": [_MODEL, ("-p", "2"), ("-n", "2"), ("-r", "1")],
    "explain": [_MODEL, ("-n", "2"), ("Hi",)],
    "compare": [_MODEL, ("--tokens", "1,2")],
    "perplexity": [_MODEL, ("-f", "text.txt")],
    "source": [("RmsNorm",)],
    "tour": [("--path",)],
    "info": [],
    "list": [],
    "config": [],
    "completion": [("bash",)],
    "embed": [_MODEL, ("Hi",)],
}
OTHERS = {"serve", "web", "rm"}
"""Commands that go on until they are stopped, and the one that removes what is yours; they have tests of their own."""
_NUMBERS = (
    *("0", "1", "-1", "2", "3", "7", "1.5", "0.5", "1e400", "1e-320", "nan", "-inf", "4294967296", "9" * 30),
    "9" * 5000,
)
_VALUES = (
    *("", " ", "x", "-", "--", "-x", "--help", "0x10", "1,2", ",", "=", ":", "9" * 5000, "x" * 5000, "hello"),
    *("Hi\n", "[a-z]+", "\x01\x1b[2J", "\xe9\u202e", "\udcff", "\n", "%s{}", "~nobody/x", "1=1", "x=nan", "x:nan"),
    *("1=" + "9" * 400, "(" * 999, "m.gguf", "m.gguf:1", "in.jsonl", "text.txt", "missing", "missing/x.gguf", "."),
    *("/", "/dev/null", "/dev/zero", "pipe", "closed", "empty", "link", "https://127.0.0.1:1/x.gguf", "http://[::1"),
    *("ftp://x", "hf:", "hf:x", "hf:../..", "c", "python"),
)
_INPUTS = (
    b"Hi\n/help\n/save\n/undo\n/undo\n/nothing\n\x00\n",
    b"",
    b"Hi",
    b"\xff\n",
    b"/system x\n/save .\n/load pipe\n",
)


def write_places(folder: Path) -> None:
    """Write a model, and what odd names name; the command line is what is drilled."""
    write_tiny(folder / "m.gguf", context=128, layers=1)
    request = {"custom_id": "a", "url": "/v1/completions", "body": {"prompt": [1], "max_tokens": 2}}
    (folder / "in.jsonl").write_text(json.dumps(request) + "\n")
    (folder / "text.txt").write_text("Hello world. " * 20)
    (folder / "empty").touch()
    (folder / "case.json").write_text('[[], ""]')


def odd_case(_content: bytes, rng: random.Random) -> bytes:
    """Return a command line and what is typed, in JSON."""
    name = rng.choice(list(GOOD))
    parts = list(GOOD[name])
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        kind = rng.randrange(6)
        if kind == 0 and parts:
            at = rng.randrange(len(parts))
            parts[at] = (*parts[at][:-1], rng.choice(_VALUES))
        elif kind == 1 and parts[1:]:
            del parts[rng.randrange(int(parts[0] == _MODEL), len(parts))]  # the default model would be downloaded
        elif options:
            parts.insert(rng.randrange(len(parts) + 1), _odd_option(rng.choice(options), rng))
    arguments = [name, *(argument for part in parts for argument in part)]
    return json.dumps([arguments, rng.choice(_INPUTS).decode("latin-1")]).encode()


def _odd_option(option: click.Option, rng: random.Random) -> tuple[str, ...]:
    name = rng.choice(option.opts)
    if option.is_flag:
        return (name,)
    if rng.random() < 0.2:
        return (name, rng.choice(_VALUES))
    if isinstance(option.type, click.Choice):
        return (name, rng.choice(list(option.type.choices)))
    is_text = isinstance(option.type, (click.Path, click.types.StringParamType))
    return (name, rng.choice(_VALUES if is_text else _NUMBERS))


def run_case(folder: Path) -> None:
    """Run the command line."""
    arguments, typed = json.loads((folder / "case.json").read_bytes())
    if not arguments:
        return
    output = folder / "output"
    _make_odd_places(folder)
    writer = os.fork()
    if writer == 0:
        os.open(folder / "pipe", os.O_WRONLY)  # waits until somebody reads; there is nothing to read
        os._exit(0)
    child = os.fork()
    if child == 0:
        _become(folder, output, arguments, typed.encode("latin-1"))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    printed = output.read_text("utf-8", "replace")
    assert code in (0, 1, 2), f"{arguments} ends with {code}: {printed[-300:]}"
    assert "Traceback" not in printed, f"{arguments}: {printed[-300:]}"
    assert code == 0 or printed.strip(), f"{arguments} ends with {code} without a word"


def _make_odd_places(folder: Path) -> None:
    for name in ("pipe", "closed", "link"):
        if os.path.lexists(path := folder / name):
            continue
        if name == "pipe":
            os.mkfifo(path)
        elif name == "closed":
            path.mkdir(0o000)
        else:
            path.symlink_to(path)


def _become(folder: Path, output: Path, arguments: list[str], typed: bytes) -> None:
    """Be the command, in the place of this process."""
    os.chdir(folder)
    os.environ["PYLLAMA3_CACHE"] = str(folder / "cache")
    reading, writing = os.pipe()
    os.write(writing, typed)
    os.close(writing)
    os.dup2(reading, 0)
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(written, 1)
    os.dup2(written, 2)
    signal.alarm(SECONDS)
    code = 1
    try:
        main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)
