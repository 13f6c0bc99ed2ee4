"""An odd HTTP server: whatever it answers, a download ends in one line, and only models get their names.

The witness is a good server, from which the same URL is had afterwards. To add a case: the bytes of an answer.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyllama3.errors import StoreError
from pyllama3.store import download as download_module
from pyllama3.store.find import find_model, pull
from pyllama3.store.urls import without_password

MODEL = b"GGUF" + bytes(range(256)) * 40


class OddServer:
    """Sends the same bytes to whoever connects, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer = b""
        self.requests: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536) or b"\r\n\r\n"
            self.requests.append(request.decode("latin-1"))
            connection.sendall(self.answer.replace(b"PORT", str(self.port).encode()))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    def url(self, name: str = "model.gguf") -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OddServer]:
    monkeypatch.setenv("PYLLAMA3_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download_module, "TIMEOUT", 5)
    server = OddServer()
    yield server
    server.socket.close()


def answer(*headers: str, body: bytes = MODEL, status: str = "200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers, "")).encode("latin-1") + body


GOOD = answer(f"Content-Length: {len(MODEL)}", 'ETag: "v1"')


def published(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.suffix not in (".lock", ".part", ".version")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "broken off"),
        (b"\0\xff" * 99 + b"\r\n\r\n", "broken off"),
        (b"HTTP/1.1 99999 \r\n\r\n", "broken off"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 999 + b"\r\n", "broken off"),
        (b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n", "broken off"),
        (answer(status="404 \x1b[2Jno"), r"answers 404 \x1b[2Jno"),
        (answer(status="500 Internal Server Error"), "answers 500"),
        (answer("Content-Length: abc"), "Content-Length is 'abc'"),
        (answer("Content-Length: 5.0"), "Content-Length is '5.0'"),
        (answer("Content-Length: -5"), "Content-Length is '-5'"),
        (answer("Content-Length: \xb2"), "Content-Length is"),
        (answer(f"Content-Length: {'7' * 5000}"), "Content-Length is '777"),
        (answer(f"Content-Length: {1 << 60}"), "Content-Length is"),
        (answer(f"Content-Length: {len(MODEL) + 1}", 'ETag: "v1"'), "broken off"),
        (answer("Content-Length: 0", body=b""), "this is no model: it starts with b''"),
        (answer(body=b""), "this is no model"),
        (answer(body=b"<html>Please log in</html>"), "this is no model: it starts with b'<html>Ple'"),
        (answer("Content-Length: 3"), "this is no model"),
        (answer("Transfer-Encoding: chunked", body=b"zz\r\n"), "broken off"),
        (answer("Transfer-Encoding: chunked", body=b"5\r\nGGUF"), "broken off"),
        (answer("Content-Range: bytes 7-9/10", status="206 Partial"), "it is a part, but the whole was asked for"),
        (answer("Location: http://[::1", status="302 Found"), "Invalid IPv6 URL"),
        (answer("Location: http://127.0.0.1:x/", status="302 Found"), "http"),
        (answer("Location: file:///etc/passwd", status="302 Found"), "is not allowed"),
        (answer("Location: http://example.com/m.gguf", status="302 Found"), "only https is downloaded"),
        (answer("Location: http://127.0.0.1:PORT/model.gguf", status="302 Found"), "answers 302"),
        (answer("Location: /\xe9\x1b", status="302 Found"), "answers 302"),
        (answer("Location:", status="302 Found"), "answers 302"),
        (answer(status="302 Found"), "answers 302"),
    ],
)
def test_odd_answers(server: OddServer, tmp_path: Path, content: bytes, message: str) -> None:
    server.answer = content
    with pytest.raises(StoreError) as info:
        find_model(server.url())
    assert message in str(info.value)
    assert str(info.value).isprintable()
    assert published(tmp_path / "cache") == []
    server.answer = GOOD
    path = find_model(server.url())
    assert path.read_bytes() == MODEL
    assert published(tmp_path / "cache") == [path]
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".gguf"}


@pytest.mark.parametrize("version", [b"\xff\xfe", b"", b'"v1"\r\nEvil: 1', b"x" * 99999, b"\x1b[2J", "é".encode()])
def test_a_damaged_version_starts_again(server: OddServer, tmp_path: Path, version: bytes) -> None:
    server.answer = answer(f"Content-Length: {len(MODEL)}", 'ETag: "v1"', body=MODEL[:-5])
    with pytest.raises(StoreError, match="run again to resume"):
        find_model(server.url())
    (state,) = (tmp_path / "cache").glob("*.version")
    state.write_bytes(version)
    server.answer = GOOD
    assert find_model(server.url()).read_bytes() == MODEL
    assert "Evil" not in server.requests[-1]


@pytest.mark.parametrize("tag", ["\xe9", '"\x01"', "x" * 5000, ""])
def test_versions_that_cannot_be_asked_for(server: OddServer, tag: str) -> None:
    server.answer = answer(f"Content-Length: {len(MODEL)}", f"ETag: {tag}", body=MODEL[:-5])
    for _ in range(2):
        with pytest.raises(StoreError, match="run again to resume"):
            find_model(server.url())
    server.answer = GOOD
    assert find_model(server.url()).read_bytes() == MODEL


@pytest.mark.parametrize(
    ("name", "asked"),
    [("é.gguf", "/%C3%A9.gguf"), ("a b.gguf", "/a%20b.gguf"), ("a%20b.gguf?x=é", "/a%20b.gguf?x=%C3%A9")],
)
def test_urls_that_are_not_ascii(server: OddServer, name: str, asked: str) -> None:
    server.answer = GOOD
    assert find_model(server.url(name)).read_bytes() == MODEL
    assert server.requests[-1].startswith(f"GET {asked} HTTP/1.1\r\n")


def test_long_names(server: OddServer) -> None:
    server.answer = GOOD
    assert find_model(server.url("x" * 5000 + ".gguf")).read_bytes() == MODEL


@pytest.mark.parametrize(
    "url", ["https://[::1/m", "https://host:x/m", "https://:1/m", "https:///m", "ftp://h/m", "https://é\0/m"]
)
def test_urls_that_are_none(server: OddServer, url: str) -> None:
    with pytest.raises(StoreError, match=r"^\S"):
        find_model(url)


def test_a_password_is_used_and_not_shown(server: OddServer) -> None:
    url = server.url().replace("//", "//me:s%40cret@")
    server.answer = answer(status="403 Forbidden")
    with pytest.raises(StoreError) as info:
        find_model(url)
    assert "cret" not in str(info.value)
    server.answer = GOOD
    found = pull(url)
    assert found.path.read_bytes() == MODEL
    assert found.origin == without_password(url) == server.url()
    credentials = base64.b64encode(b"me:s@cret").decode()
    assert f"Authorization: Basic {credentials}\r\n" in server.requests[-1]


def test_a_password_is_for_one_server(server: OddServer) -> None:
    other = OddServer()
    other.answer = GOOD
    server.answer = answer(f"Location: {other.url()}", status="302 Found")
    assert find_model(server.url().replace("//", "//me:secret@")).read_bytes() == MODEL
    assert "Authorization" in server.requests[0]
    assert "Authorization" not in other.requests[0]
    other.socket.close()
