"""Files: written whole or not at all, locked against other processes, split in shards; and where we keep our own."""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from .errors import StoreError

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
"""Flags for files that must not be there yet."""

PACKAGE = Path(__file__).resolve().parent
"""The folder of this package."""


def is_device(path: Path) -> bool:
    """Tell whether a path is there and is no file, such as /dev/null or a pipe."""
    return path.exists() and not path.is_file()


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """Yield a file to write, which takes the place of `path` when all went well, and is removed otherwise.

    It has the permissions of other new files or, if `private`, of one that is for the user only. Of a link, the file
    that it leads to is replaced. What is no file, such as /dev/null or a pipe, is written as it is.

    Any number of processes may write the same path: each has a file of its own in the same folder, locked while it is
    open, and the last to be complete counts. What killed ones have left there is removed.

    Raises:
        OSError: the file cannot be written.
    """
    if is_device(path):
        with path.open("wb") as device:
            yield device
        return
    path = path.resolve()
    _remove_leftovers(path)
    with ExitStack() as stack:
        part, file = _open_part(path, stack, 0o600 if private else 0o666)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sys.platform == "win32":
                file.close()  # open files cannot be renamed there
            os.replace(part, path)
        except BaseException:
            with suppress(OSError):  # what is not written yet may not fit
                file.close()
            part.unlink()
            raise


def _open_part(path: Path, stack: ExitStack, mode: int) -> tuple[Path, IO[bytes]]:
    """Create a file beside `path`, open and locked, with permissions of `mode` that the user's mask leaves."""
    while True:
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        descriptor = os.open(part, _NEW, mode)
        file = stack.enter_context(os.fdopen(descriptor, "wb"))
        try:
            is_ours = try_lock(file) and part.exists()  # else another process has taken it for a leftover
        except OSError:  # a file system without locks, on which no leftovers are removed
            is_ours = True
        if is_ours:
            return part, file


def _remove_leftovers(path: Path) -> None:
    """Remove the files of `_open_part` that no process has locked."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.tmp")
    with suppress(OSError):
        for part in [entry for entry in path.parent.iterdir() if name.fullmatch(entry.name)]:
            with suppress(OSError):
                remove_unlocked(part)


def json_bytes(value: Any, *, indent: int | None = None) -> bytes:
    """Return JSON in UTF-8 that any reader takes; half a surrogate pair, which UTF-8 cannot hold, stays an escape.

    Raises:
        ValueError: a number is not finite, which JSON has no word for.
    """
    # what Python puts in place of a lone surrogate is JSON's own escape for it
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return text.encode("utf-8", "backslashreplace")


def cache_dir() -> Path:
    """Return the directory of downloaded models: $PYLLAMA3_CACHE, else the one that the platform wants.

    Raises:
        StoreError: neither is known.
    """
    if chosen := os.environ.get("PYLLAMA3_CACHE"):
        return Path(chosen)
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen, "pyllama3")
    if sys.platform == "darwin":
        return home_dir() / "Library" / "Caches" / "pyllama3"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home_dir() / "AppData" / "Local", "pyllama3", "Cache")
    return home_dir() / ".cache" / "pyllama3"


def config_path() -> Path:
    """Return the file of the user's defaults: $PYLLAMA3_CONFIG, else config.toml where the platform wants it.

    Raises:
        StoreError: that is not known.
    """
    if chosen := os.environ.get("PYLLAMA3_CONFIG"):
        return Path(chosen)
    if chosen := os.environ.get("XDG_CONFIG_HOME"):
        folder = Path(chosen)
    elif sys.platform == "darwin":
        folder = home_dir() / "Library" / "Application Support"
    elif sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or home_dir() / "AppData" / "Roaming")
    else:
        folder = home_dir() / ".config"
    return folder / "pyllama3" / "config.toml"


def home_dir() -> Path:
    """Return the user's directory.

    Raises:
        StoreError: the system knows none.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise StoreError("the user has no home directory; $PYLLAMA3_CACHE names a directory for what we keep") from None


@contextmanager
def exclusive(target: Path) -> Iterator[None]:
    """Create the directory of `target` and keep other processes that use this function for it waiting.

    Raises:
        StoreError: the directory cannot be written.
    """
    with ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_lock_file(beside(target, ".lock")))
        except OSError as error:
            raise StoreError(f"{target.parent}: cannot be written: {error.strerror}") from error
        yield


@contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    """Create and lock a file, which is removed afterwards; the system drops the lock of a process that has crashed."""
    while True:
        with path.open("ab") as file:
            lock(file)
            if not _is_at(file, path):  # who held the lock has removed the file: it locks nobody else out any more
                continue
            try:
                yield
            finally:
                with suppress(OSError):  # on Windows, while it is open
                    path.unlink()
            return


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    def lock(file: IO[bytes] | int) -> None:
        """Lock an open file."""
        msvcrt.locking(file if isinstance(file, int) else file.fileno(), msvcrt.LK_LOCK, 1)

    def try_lock(file: IO[bytes]) -> bool:
        """Do nothing: there, no open file can be removed."""
        return True

    def remove_unlocked(path: Path) -> None:
        """Remove a file unless a process has it open."""
        path.unlink()
else:
    import fcntl

    def lock(file: IO[bytes] | int) -> None:
        """Lock an open file."""
        fcntl.flock(file, fcntl.LOCK_EX)

    def try_lock(file: IO[bytes]) -> bool:
        """Lock an open file, unless another process has."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def remove_unlocked(path: Path) -> None:
        """Remove a file unless a process has locked it."""
        with path.open("r+b") as file:
            if try_lock(file):
                path.unlink()


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
