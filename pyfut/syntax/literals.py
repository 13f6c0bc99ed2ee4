"""Numbers, characters and strings."""

from __future__ import annotations

import re

from pyfut.errors import Position
from pyfut.syntax.source import Source
from pyfut.syntax.tokens import IDENTIFIER, Hole, Token

ESCAPES = {"'": "'", '"': '"', "t": "\t", "r": "\r", "n": "\n", "\\": "\\"}
NUMBER = re.compile(
    r"(?P<base>0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+)"
    r"|(?P<float>[0-9][0-9_]*(?:\.[0-9][0-9_]*(?:[eE][+-]?[0-9][0-9_]*)?|[eE][+-]?[0-9][0-9_]*))"
    r"|(?P<int>[0-9][0-9_]*)"
)
UNTERMINATED = "Unterminated string literal"


class Literals:
    """Reads the literals of a source."""

    def __init__(self, source: Source) -> None:
        self.source = source

    # INT = decimal digits | "0x" hexadecimal digits | "0b" binary digits | "0o" octal digits
    # FLOAT = digits "." digits [ exponent ] | digits exponent
    def number(self, position: Position, negated: bool) -> Token:
        """Read a number; one behind a minus may be larger by one."""
        source = self.source
        match = NUMBER.match(source.text, source.at)
        assert match is not None
        spelling = match[0]
        digits = spelling.replace("_", "")
        source.at = match.end()
        is_float = match["float"] is not None
        tail = IDENTIFIER.match(source.text, source.at)
        if tail or spelling.endswith("_") or re.search(r"_[.eE]", spelling):
            source.error("Invalid floating-point number" if is_float else "Invalid integer")
            source.at = tail.end() if tail else source.at
        if is_float:
            return Token("float", spelling, position, float(digits))
        if match["int"] and len(digits) > 1 and digits[0] == "0":
            source.error("Leading zeros are not permitted, octal numbers must begin with 0o")
            return Token("int", spelling, position, int(digits))
        value = int(digits, 10 if match["int"] else 0)
        if value > (1 << 63) - 1 + negated:
            source.error("Integer too big")
        return Token("int", spelling, position, value)

    # STRING = '"' { character | escape } '"'
    def string(self, position: Position) -> Token:
        """Read a string."""
        self.source.at += 1
        value = self._quoted('"', UNTERMINATED)
        return Token("string", value, position, value)

    # CHAR = "'" ( character | escape ) "'"
    def char(self, position: Position) -> Token:
        """Read a character."""
        source = self.source
        start = source.at
        source.at += 1
        value = self._quoted("'", "Unterminated character literal")
        if value == "":
            source.error("Empty character literal")
        elif len(value) > 1 or (ord(value) < 32 and "\\" not in source.text[start : source.at]):
            source.error("Invalid character in literal")
        return Token("char", source.text[start : source.at], position, ord(value[0]) if value else 0)

    # INTERPOLATED = '$"' { character | escape | "{{" | "}}" | hole } '"'
    def interpolated(self, position: Position) -> Token:
        """Read an interpolated string."""
        source = self.source
        source.at += 2
        parts: list[str | Hole] = []
        literal = ""
        while True:
            c = source.next
            if c in ("", "\n"):
                source.error(UNTERMINATED)
                break
            if c == "\\":
                literal += self._escape()
                continue
            source.at += 1
            if c == '"':
                break
            if c in "{}" and source.sees(c):
                source.at += 1
            elif c == "{":
                parts += [literal, self._hole()]
                literal = ""
                continue
            elif c == "}":
                source.error("'}' must be escaped by doubling")
            literal += c
        parts.append(literal)
        return Token("interpolated", "", position, parts=[part for part in parts if part != ""])

    # hole = "{" expression [ "," width ] [ ":" format ] "}"
    def _hole(self) -> Hole:
        """Split the text up to the closing brace at the comma and the colon that are not nested."""
        source = self.source
        sections = [""]
        depth = 0
        while source.next not in ("", "\n"):
            c = source.next
            source.at += 1
            if c == '"':
                start = source.at - 1
                self._quoted('"', UNTERMINATED)
                sections[-1] += source.text[start : source.at]
                continue
            if c == "}" and depth == 0:
                break
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(c, 0)
            if depth == 0 and (c == ":" or (c == "," and len(sections) == 1)) and "?" not in sections[0]:
                sections.append(c)
            else:
                sections[-1] += c
        width = next((s[1:] for s in sections[1:] if s[0] == ","), "")
        form = next((s[1:] for s in sections[1:] if s[0] == ":"), "")
        return Hole(sections[0], width.strip(), form.strip())

    def _quoted(self, quote: str, unterminated: str) -> str:
        """Return the characters up to `quote`."""
        source = self.source
        value = ""
        while True:
            c = source.next
            if c in ("", "\n"):
                source.error(unterminated)
                return value
            if c == "\\":
                value += self._escape()
                continue
            source.at += 1
            if c == quote:
                return value
            value += c

    # escape = "\" ( "'" | '"' | "t" | "r" | "n" | "\" )
    def _escape(self) -> str:
        """Return the character after a backslash, which is at the current place."""
        source = self.source
        source.at += 1
        c = source.next
        if c not in ESCAPES:
            source.error("Unknown escape sequence")
        source.at += 1
        return ESCAPES.get(c, c)
