"""What the text of a program consists of."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pyfut.errors import Position
from pyfut.naming import words

KEYWORDS = words(
    "abstract assert base break case class const continue default do else enum false for foreach if"
    " in internal is lock new null override protected public return sealed static switch this throw"
    " throws true virtual void when while"
)
OPERATORS = sorted(
    words(
        "+ - * / % & | ^ ~ ! = == != < <= > >= << >> && || ++ -- += -= *= /= %= &= |= ^= <<= >>= ? : ; , ."
        " ( ) [ ] { } => #"
    ),
    key=len,
    reverse=True,
)
"""Longest first, as they are to be matched."""
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
DESCRIPTIONS = {
    "id": "identifier",
    "int": "integer constant",
    "float": "floating-point constant",
    "char": "character constant",
    "string": "string constant",
    "interpolated": "interpolated string",
    "doc": "'///'",
    "eof": "end-of-file",
}
"""Kinds of tokens that messages call by a description instead of by their text."""


@dataclass
class Hole:
    """An expression inside an interpolated string, still as text."""

    text: str
    width: str
    format: str


@dataclass
class Token:
    """A lexical element. Kinds: keyword, op, native and those in `DESCRIPTIONS`."""

    kind: str
    text: str
    position: Position
    value: int | float | str | None = None
    parts: list[str | Hole] = field(default_factory=list)
    """What an interpolated string consists of."""
    lines: list[str] = field(default_factory=list)
    """The text of a documentation comment."""

    def __str__(self) -> str:
        return DESCRIPTIONS.get(self.kind, f"'{self.text}'")
