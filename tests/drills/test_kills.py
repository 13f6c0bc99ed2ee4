"""Commands that write, killed at random moments: nothing partial has a final name, and nothing is left behind.

The witness is the same command, run to its end. To add a command: a row of `COMMANDS`. `invoke drill --kills 50` kills
each of them fifty times.
"""

from __future__ import annotations

import http.server
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT
from tiny_models import write_tiny

KILLS = int(os.environ.get("PYLLAMA3_KILLS", "2"))
BUILD = """
from pathlib import Path
from tools.build_engine import build
build(Path("made").resolve(), sources=Path("sources").resolve())
"""
COMMANDS = {
    "convert": ["convert", "m.gguf", "out.gguf", "--type", "Q8_0", "--force"],
    "batch": ["batch", "-m", "m.gguf", "--exact", "--parallel", "2", "in.jsonl", "out.jsonl"],
    "run": ["run", "-m", "m.gguf", "-q", "--temp", "0", "-n", "4", "--prompt-cache", "cache", "Once upon a time"],
    "explain": ["explain", "-m", "m.gguf", "-s", "1", "-n", "2", "-o", "out.html", "Hi"],
    "compare": ["compare", "-m", "m.gguf", "--tokens", "1,2,3", "--backends", "c,reference", "--html", "out.html"],
    "pull": ["pull", "URL"],
    "build": [],
    "chat": ["chat", "-m", "m.gguf", "--temp", "0", "-n", "4"],
}
MODEL = b"GGUF" + bytes(range(256)) * 4096
TYPED = "Hi\nHi\n/save talk.json\n"


class SlowHandler(http.server.SimpleHTTPRequestHandler):
    """Sends the model bit by bit; parts of it, too."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = MODEL
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        for at in range(start, len(content), 65536):
            self.wfile.write(content[at : at + 65536])
            time.sleep(0.01)

    def log_message(self, format: str, *args: object) -> None:
        pass


class SlowServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that were killed."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with SlowServer(("127.0.0.1", 0), SlowHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/m.gguf"
        server.shutdown()
        thread.join()


def start(folder: Path, name: str, url: str) -> subprocess.Popen[str]:
    """Start a command."""
    arguments = [url if argument == "URL" else argument for argument in COMMANDS[name]]
    command = [sys.executable, *(["-c", BUILD] if name == "build" else ["-m", "pyllama3", *arguments])]
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
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def comparable(name: str, content: bytes) -> object:
    """Return what must be equal: all but what is new each time."""
    if name == "made/manifest.json":
        return {**json.loads(content), "built": ""}
    if name == "out.html":
        return re.sub(rb"[0-9.]+ s\b", b"", content)
    if name != "out.jsonl":
        return content
    answers = [json.loads(line)["response"]["body"] for line in content.splitlines()]
    return sorted(answer["choices"][0]["text"] for answer in answers)


def is_final(name: str) -> bool:
    """Tell whether a file is one that is whole, and no answers of a batch, which are added one by one."""
    return name != "out.jsonl" and not re.search(r"\.tmp$|\.part(\.version)?$|\.building-", name)


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_commands(tmp_path: Path, url: str, name: str) -> None:
    write_tiny(tmp_path / "m.gguf", context=128, layers=1)
    bodies = [{"prompt": [1 + n], "max_tokens": 20, "seed": n, "temperature": 1} for n in range(40)]
    requests = [{"custom_id": f"r{n}", "url": "/v1/completions", "body": body} for n, body in enumerate(bodies)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(request) + "\n" for request in requests))
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "tiny.fu").write_text("public class Tiny\n{\n\tpublic static int One() => 1;\n}\n")
    given = contents(tmp_path)
    begin = time.monotonic()
    finish(start(tmp_path, name, url))
    duration = time.monotonic() - begin
    whole = contents(tmp_path)
    made = whole.keys() - given.keys()
    assert made
    rng = random.Random(f"kills of {name}")
    for _ in range(KILLS):
        for file in made:
            (tmp_path / file).unlink(missing_ok=True)
        child = start(tmp_path, name, url)
        time.sleep(rng.uniform(0.3, 1) * duration)
        child.kill()
        child.communicate()
        left = contents(tmp_path)
        for file in left.keys() - given.keys():
            assert not is_final(file) or comparable(file, left[file]) == comparable(file, whole[file])
        for child in [start(tmp_path, name, url) for _ in range(2)]:
            finish(child)
        after = contents(tmp_path)
        assert after.keys() == whole.keys()
        assert {file: comparable(file, after[file]) for file in made} == {
            file: comparable(file, whole[file]) for file in made
        }


def finish(child: subprocess.Popen[str]) -> None:
    output = child.communicate()
    assert child.returncode == 0, output
