"""Files that appear whole or not at all, whoever else writes them and whenever a process is killed.

The witness is the folder afterwards. To add a case: what happens while a file is being written, and what is left.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from pyllama3.files import replacing

WRITER = """
import sys
from pathlib import Path
from pyllama3.files import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"part of it")
    file.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


def start_writer(path: Path) -> subprocess.Popen[bytes]:
    """Start a process that has written a part and waits for the end of its standard input to finish."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(BaseException, match=r"^$|No space"):
        write()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_permissions_are_those_of_other_new_files(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with replacing(tmp_path / "file") as file:
            file.write(b"new")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    other = start_writer(path)
    with replacing(path) as file:
        file.write(b"ours")
    assert path.read_bytes() == b"ours"
    assert other.communicate()[0] == b""
    assert other.returncode == 0
    assert path.read_bytes() == b"part of it"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_what_a_killed_writer_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "file"
    process, living = start_writer(path), start_writer(tmp_path / "file.b")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(names(tmp_path)) == 2
    (tmp_path / ".file.mine.tmp").touch()  # looks alike only
    with replacing(path) as file:
        file.write(b"ours")
    assert len(names(tmp_path)) == 3
    living.communicate()
    assert names(tmp_path) == [".file.mine.tmp", "file", "file.b"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes with names")
def test_what_is_no_file_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    with replacing(pipe) as file:
        file.write(b"through")
    assert reader.communicate()[0] == b"through"
    assert pipe.is_fifo()
    with pytest.raises(IsADirectoryError), replacing(tmp_path):
        pass
    assert names(tmp_path) == ["pipe"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_still_leads_to_the_file(tmp_path: Path) -> None:
    link, real = tmp_path / "link", tmp_path / "elsewhere" / "file"
    real.parent.mkdir()
    link.symlink_to(real)  # which is not there yet
    for content in (b"first", b"second"):
        with replacing(link) as file:
            file.write(content)
        assert link.is_symlink()
        assert real.read_bytes() == content
    assert names(real.parent) == ["file"]
