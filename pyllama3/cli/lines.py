"""Messages of several lines: those that end in a backslash, and those between triple quotes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

_QUOTES = '"""'


class Line(NamedTuple):
    """What was typed, in one line or several."""

    text: str
    is_quoted: bool = False
    """Whether it stood between triple quotes, where it is a message, whatever it begins with."""


def read_line(read: Callable[[bool], str]) -> Line:
    """Return the next message; `read` returns a line and is told whether it goes on with one that has begun.

    Raises:
        EOFError: `read` has raised it, and there is no message yet.
    """
    text = read(False)
    is_quoted = text.lstrip().startswith(_QUOTES)
    try:
        if is_quoted:
            text = text.lstrip().removeprefix(_QUOTES)
            while _QUOTES not in text:
                text += f"\n{read(True)}"
        while not is_quoted and text.endswith("\\"):
            text = f"{text[:-1]}\n"
            text += read(True)
    except EOFError:
        if not text.strip():
            raise
    return Line("".join(text.partition(_QUOTES)[::2]) if is_quoted else text, is_quoted)
