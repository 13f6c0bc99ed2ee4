"""`pyllama3 web`: what it serves, and what it refuses."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_models import write_tiny

from pyllama3.errors import OptionError
from pyllama3.site import make_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build folder with a site that is no more than a page."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "index.html").write_text("the page")
    return tmp_path


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pyllama3", "web", "--port", "0", *arguments]
    environment = {**os.environ, "PYLLAMA3_BUILD": str(folder)}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def leave_early(port: int) -> None:
    """Ask for the page so often that the answers cannot all be on the way, and reset the connection."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"GET / HTTP/1.1\r\n\r\n" * 5000)


def test_the_command_serves_the_page_and_the_model_until_it_is_interrupted(folder: Path) -> None:
    model = write_tiny(folder / "m.gguf")
    process = start(folder, "-m", str(model))
    assert process.stdout is not None
    line = process.stdout.readline()
    address = line.split()[0]
    assert line == f"{address} answers with m.gguf; Ctrl-C ends this\n"
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == b"the page"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    with urllib.request.urlopen(f"{address}model.gguf?x") as answer:
        assert answer.read() == model.read_bytes()
    leave_early(int(address.rstrip("/").rpartition(":")[2]))
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == "\n"
    assert process.returncode == 0


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    with make_server(folder / "web", folder / "none.gguf", "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["none.gguf", "model.gguf", "../m.gguf", "%2e%2e/m.gguf", "inside/"])
def test_nothing_else_is_served(folder: Path, address: str, path: str) -> None:
    (folder / "m.gguf").touch()
    (folder / "web" / "inside").mkdir()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(address + path)
    with caught.value as answer:
        assert answer.code == 404


def test_a_port_that_is_taken_is_told(folder: Path, address: str) -> None:
    port = int(address.rstrip("/").rpartition(":")[2])
    with pytest.raises(OptionError, match=rf"^port {port} of 127.0.0.1: .*in use"):
        make_server(folder, folder, "127.0.0.1", port)


def test_what_is_missing_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "text.gguf").write_text("no model")
    for arguments, told in (
        (["-m", str(folder / "text.gguf")], "not a GGUF file, which the page reads; 'pyllama3 convert' makes one"),
        (["-m", str(folder)], "not a GGUF file"),
    ):
        process = start(folder, *arguments)
        assert told in process.communicate()[1]
        assert process.returncode == 1
    process = start(tmp_path / "empty", "-m", str(folder))
    assert process.communicate()[1].endswith("web: the page is not there; in a checkout, 'invoke web' makes it\n")
    assert process.returncode == 1
