"""What others wrote: texts that reach a terminal, names of files, JSON and whole files. None of it is trusted."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

MAX_DEPTH = 64
"""Of JSON: what goes through it by recursion needs a few calls for each level, of which Python allows 1000."""
MAX_DIGITS = 100
"""Of an integer in JSON; `model_max_length` of a tokenizer_config.json may have 31."""

MAX_NAME = 200
"""Characters in the name of a file."""

_CHUNK = 1 << 20

_UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
"""Controls (C0, C1), line separators, what overrides the direction of text, and halves of surrogate pairs."""
_NAME = re.compile(rf"[^{_UNPRINTABLE}/\\:]*")
_ON_ONE_LINE = re.compile(f"[{_UNPRINTABLE}]")
_ON_LINES = re.compile(f"(?!\r?\n|\t)[{_UNPRINTABLE}]")


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return a text that does nothing to a terminal: control characters are shown as \x1b, \n or \u202e.

    With `lines`, line feeds and tabs are left as they are.
    """
    return (_ON_LINES if lines else _ON_ONE_LINE).sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def file_inside(folder: Path, name: Any) -> Path:
    """Return the path of a file in a folder by the name that another file gives.

    Raises:
        ValueError: it is not the plain name of a file.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or name in (".", "..") or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r:.80} is not the name of a file of this directory")
    return folder / name


def parse_json(
    text: bytes | str,
    *,
    object_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
    max_bytes: int | None = None,
    strict: bool = False,
) -> Any:
    """Return what a text in JSON (UTF-8) says; objects are made by `object_hook` of their keys and values.

    Python's NaN and Infinity, which other programs write too, are numbers, unless it is `strict`.

    Raises:
        ValueError: it is not JSON, or is longer, deeper or has longer integers than is read.
    """
    if max_bytes is not None and len(text) > max_bytes:
        raise ValueError(f"has more than {max_bytes} bytes")
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8-sig")
        value = json.loads(
            decoded,
            parse_int=_parse_int,
            parse_constant=_refuse_constant if strict else None,
            object_pairs_hook=object_hook,
        )
    except RecursionError:
        value = None
        is_too_deep = True
    else:
        is_too_deep = is_deep(value)
    if is_too_deep:
        raise ValueError(f"is nested too deeply; at most {MAX_DEPTH} levels are read")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"has {name}, which is no number in JSON")


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"has an integer of {len(digits)} digits; at most {MAX_DIGITS} are read")
    return int(digits)


def is_deep(value: Any) -> bool:
    """Tell whether there are more than `MAX_DEPTH` levels, by going through them one after the other."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for items in level for item in _items(items) if isinstance(item, (Mapping, list, tuple))]
        if not level:
            return False
    return True


def _items(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def read_whole(path: Path, *, max_bytes: int, regular: bool = True) -> bytes:
    """Return what a file holds.

    Args:
        path: of the file.
        max_bytes: more are not read.
        regular: whether the file must be a regular one; those that a user names may be pipes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too long, or not regular.
    """
    if regular and not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is not a regular file")
    chunks, size = [], 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if size > max_bytes:
                raise ValueError(f"has more than {max_bytes} bytes")
            chunks.append(chunk)
    return b"".join(chunks)


def read_lines(file: IO[bytes], *, max_bytes: int) -> Iterator[bytes]:
    """Yield the lines of a file, of those that are longer than `max_bytes` only the first bytes, which are more."""
    while line := file.readline(max_bytes + 1):
        yield line
        while len(line) > max_bytes and not line.endswith(b"\n"):
            line = file.readline(max_bytes + 1)
