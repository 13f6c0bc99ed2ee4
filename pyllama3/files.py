"""Files: written whole or not at all, locked against other processes, split in shards; and where we keep our own."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from .errors import StoreError

PACKAGE = Path(__file__).resolve().parent
"""The folder of this package."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write, which takes the place of `path` when all went well, and is removed otherwise.

    Raises:
        OSError: the file cannot be written.
    """
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            _obey_umask(part)
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def _obey_umask(path: str) -> None:
    """Give a temporary file, which only its owner may read, the permissions of other new files."""
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(path, 0o666 & ~umask)


def cache_dir() -> Path:
    """Return the directory of downloaded models: $PYLLAMA3_CACHE, else the one that the platform wants."""
    if chosen := os.environ.get("PYLLAMA3_CACHE"):
        return Path(chosen)
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen, "pyllama3")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pyllama3"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local", "pyllama3", "Cache")
    return Path.home() / ".cache" / "pyllama3"


@contextmanager
def exclusive(target: Path) -> Iterator[None]:
    """Create the directory of `target` and keep other processes that use this function for it waiting.

    Raises:
        StoreError: the directory cannot be written.
    """
    with ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # The system drops the lock when the file is closed, also by a crash; removing the file would be a race.
            lock(stack.enter_context(beside(target, ".lock").open("ab")))
        except OSError as error:
            raise StoreError(f"{target.parent}: cannot be written: {error.strerror}") from error
        yield


if sys.platform == "win32":
    import msvcrt

    def lock(file: IO[bytes]) -> None:
        """Lock an open file."""
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def lock(file: IO[bytes]) -> None:
        """Lock an open file."""
        fcntl.flock(file, fcntl.LOCK_EX)


def beside(path: Path, suffix: str) -> Path:
    """Return the path with a suffix added."""
    return path.with_name(path.name + suffix)


_SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.ASCII | re.DOTALL)


def shard_names(name: str) -> list[str]:
    """Return the names of all shards, in order, by that of any of them; the name alone if it is not one."""
    match = _SHARD.fullmatch(name)
    if match is None or not 1 <= int(match["number"]) <= int(match["count"]):
        return [name]
    return [f"{match['stem']}-{number:05}-of-{match['count']}.gguf" for number in range(1, int(match["count"]) + 1)]
