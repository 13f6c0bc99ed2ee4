"""Source text to tokens."""

from __future__ import annotations

import re

from pyfut.errors import Position
from pyfut.syntax.literals import Literals
from pyfut.syntax.preprocessor import Preprocessor
from pyfut.syntax.source import Source
from pyfut.syntax.tokens import IDENTIFIER, KEYWORDS, OPERATORS, Token

NATIVE_BRACE = re.compile(r"\s*\{")


class Lexer:
    """Tokenizes one text."""

    def __init__(self, source: Source, symbols: frozenset[str]) -> None:
        self.source = source
        self.preprocessor = Preprocessor(source, symbols)
        self.literals = Literals(source)

    def tokens(self) -> list[Token]:
        """Return all tokens, ending with eof."""
        result: list[Token] = []
        while True:
            token = self._next(result)
            if token is None:
                continue
            if token.kind == "doc" and result and result[-1].kind == "doc":
                result[-1].lines += token.lines
                continue
            result.append(token)
            if token.kind == "eof":
                return result

    def _next(self, before: list[Token]) -> Token | None:
        """Return the next token, None after something that is none."""
        source = self.source
        source.skip_blanks()
        position = source.position
        c = source.next
        if not c:
            self.preprocessor.finish()
            return Token("eof", "", position)
        if source.sees("///"):
            return self._doc(position)
        if source.sees("//"):
            source.rest_of_line()
            return None
        if source.sees("/*"):
            self._block_comment()
            return None
        if c == "#" and self.preprocessor.read_directive():
            return None
        if c.isdigit():
            return self.literals.number(position, negated=bool(before) and before[-1].text == "-")
        if c in "\"'$":
            return self._quoted(c, position)
        word = IDENTIFIER.match(source.text, source.at)
        if word:
            return self._word(word[0], position, before)
        for operator in OPERATORS:
            if source.sees(operator):
                source.at += len(operator)
                return Token("op", operator, position)
        source.error("Invalid character")
        source.at += 1
        return None

    def _quoted(self, c: str, position: Position) -> Token | None:
        if c == '"':
            return self.literals.string(position)
        if c == "'":
            return self.literals.char(position)
        if self.source.sees('$"'):
            return self.literals.interpolated(position)
        self.source.error("Expected interpolated string")
        self.source.at += 1
        return None

    def _word(self, word: str, position: Position, before: list[Token]) -> Token:
        self.source.at += len(word)
        if word == "native":
            brace = NATIVE_BRACE.match(self.source.text, self.source.at)
            if brace and not (before and before[-1].text == "."):
                return self._native(position, brace.end())
        return Token("keyword" if word in KEYWORDS else "id", word, position)

    def _native(self, position: Position, start: int) -> Token:
        source = self.source
        source.line += source.text.count("\n", source.at, start)
        depth = 1
        at = start
        while depth:
            if at >= len(source.text):
                source.at = at
                source.error("Expected '}', got end-of-file")
                return Token("native", "", position)
            depth += {"{": 1, "}": -1}.get(source.text[at], 0)
            at += 1
        body = source.text[start : at - 1]
        source.line += body.count("\n")
        source.at = at
        return Token("native", body, position)

    def _doc(self, position: Position) -> Token:
        self.source.at += 3
        line = self.source.rest_of_line().rstrip("\r")
        return Token("doc", "///", position, lines=[line[1:] if line.startswith(" ") else line])

    def _block_comment(self) -> None:
        source = self.source
        start = source.line
        end = source.text.find("*/", source.at + 2)
        if end < 0:
            source.line += source.text.count("\n", source.at)
            source.error(f"Unterminated multi-line comment, started in line {start}")
            source.at = len(source.text)
            return
        source.line += source.text.count("\n", source.at, end)
        source.at = end + 2
