"""`pyllama3 serve` as a process: how it starts, what it refuses, and how signals end it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT
from tiny_models import write_tiny

httpx = pytest.importorskip("httpx", reason="needs pip install httpx")
pytest.importorskip("uvicorn", reason="needs pip install 'pyllama3[server]'")

SERVE = [sys.executable, "-m", "pyllama3", "serve", "--port", "0"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
LONGEST = 65536
SECRET = "a prompt that nobody else may read"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("random") / "m.gguf", context=LONGEST, layers=1)


class Running:
    """A server that is ready."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        self.lines = [process.stderr.readline(), process.stderr.readline()]
        match = re.match(r"(http://\S+) is ready: ", self.lines[1])
        assert match, self.lines
        self.url = match[1]

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; return the exit code and what else was written."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=30)
        return self.process.returncode, rest


@contextmanager
def server(path: Path, *arguments: str, **environment: str) -> Iterator[Running]:
    command = [*SERVE, "-m", str(path), "-c", str(LONGEST), *arguments]
    options: dict[str, Any] = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**ENVIRONMENT, **environment}, **options) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_end_open_streams_and_the_process(path: Path, number: int, code: int) -> None:
    with server(path, "--parallel", "1") as running:
        body = {"prompt": "a", "stream": True, "logit_bias": dict.fromkeys(range(269, 288), -100)}
        with (
            httpx.stream("POST", f"{running.url}/v1/completions", json=body, timeout=60) as answering,
            httpx.stream("POST", f"{running.url}/v1/completions", json=body, timeout=60) as waiting,
        ):
            lines = answering.iter_lines()
            next(lines)
            found, rest = running.end(number)
            assert "the server is being stopped" in [line for line in lines if line][-1]
            assert "the server is being stopped" in waiting.read().decode()
    assert (found, rest.strip()) == (code, "")


def test_what_is_said_at_the_start(path: Path) -> None:
    with server(path, "--parallel", "3", "--alias", "small") as running:
        loading, ready = running.lines
        assert loading == f"{running.url} is loading {path}\n"
        # 3 places of 65536 tokens with 32 keys and 32 values of 2 bytes
        assert f"is ready: 3 texts at a time of up to {LONGEST} tokens; their cache takes at most 25 MB (" in ready
        assert running.url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{running.url}/v1/models").json()["data"][0]["id"] == "small"


def test_the_key_and_prompts_are_not_logged(path: Path) -> None:
    with server(path, PYLLAMA3_API_KEY="the-key") as running:
        headers = {"Authorization": "Bearer the-key"}
        url = f"{running.url}/v1/completions"
        assert httpx.post(url, json={"prompt": SECRET, "max_tokens": 2}).status_code == 401
        assert httpx.post(url, json={"prompt": SECRET, "max_tokens": 2}, headers=headers).status_code == 200
        assert httpx.post(url, json={"prompt": SECRET, SECRET: 2}, headers=headers).status_code == 400
        _, rest = running.end(signal.SIGTERM)
        assert (*running.lines, rest)[2] == ""
        assert "the-key" not in "".join(running.lines)


def refusal(*arguments: str, code: int = 1) -> str:
    done = subprocess.run([*SERVE, *arguments], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert (done.returncode, done.stdout) == (code, "")
    return done.stderr


def test_a_port_in_use(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = refusal("-m", str(path), "--port", str(port))
    assert error == f"pyllama3: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_a_damaged_model(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    first, second = refusal("-m", str(tmp_path / "m.gguf")).splitlines()
    assert first.endswith(f"is loading {tmp_path / 'm.gguf'}")
    assert second.startswith(f"pyllama3: {tmp_path / 'm.gguf'}: ")


def test_without_the_extra(path: Path) -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; from pyllama3.cli import main; main(['serve', '-m', sys.argv[1]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=ENVIRONMENT, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pyllama3: serve needs uvicorn; install it with: pip install 'pyllama3[server]'\n"


def test_wrong_usage(path: Path) -> None:
    assert refusal("-m", str(path), "--temperature", "-1").endswith("temperature is -1.0; allowed: 0 or more\n")
    assert "Invalid value for '--parallel'" in refusal("-m", str(path), "--parallel", "0", code=2)
    assert refusal("-m", str(path), "--host", "no.such.host.invalid").startswith(
        "pyllama3: cannot listen on no.such.host.invalid:0: "
    )
    assert "context is 1000000; allowed for this model: 1 to 65536" in refusal("-m", str(path), "-c", "1000000")
