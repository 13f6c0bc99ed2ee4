"""The tokens of one text, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pyfut.errors import Diagnostics, ParseError, Position
from pyfut.syntax.lexer import Lexer
from pyfut.syntax.source import Source
from pyfut.syntax.tokens import Token

T = TypeVar("T")


class TokenStream:
    """Hands out tokens; the parsers share one and move it on."""

    def __init__(self, source: Source, symbols: frozenset[str] = frozenset()) -> None:
        self.file = source.file
        self.diagnostics = source.diagnostics
        self.tokens = Lexer(source, symbols).tokens()
        self.at = 0

    @classmethod
    def of_part(cls, file: str, text: str, line: int, diagnostics: Diagnostics) -> TokenStream:
        """Return the tokens of a text inside another one."""
        return cls(Source(file, text, diagnostics, line))

    @property
    def token(self) -> Token:
        """The token to be read next."""
        return self.tokens[self.at]

    @property
    def position(self) -> Position:
        """The place of the token to be read next."""
        return self.token.position

    def ended(self) -> bool:
        """Whether all tokens have been read."""
        return self.token.kind == "eof"

    def peek(self, distance: int) -> Token:
        """Return the token behind the next one, or one further on."""
        return self.tokens[min(self.at + distance, len(self.tokens) - 1)]

    def take(self) -> Token:
        """Read a token."""
        self.at += 1
        return self.tokens[self.at - 1]

    def see(self, *texts: str) -> bool:
        """Whether the next token is one of these operators and keywords."""
        return self.token.text in texts and self.token.kind in ("op", "keyword")

    def eat(self, *texts: str) -> str:
        """Read one of these operators and keywords if it comes next; return it, else an empty text."""
        return self.take().text if self.see(*texts) else ""

    def fail(self, message: str) -> ParseError:
        """Record an error at the next token and return the exception to be raised."""
        self.diagnostics.error(self.position, message)
        return ParseError()

    def refuse(self, position: Position, construct: str) -> ParseError:
        """Record that a construct is not covered and return the exception to be raised."""
        self.diagnostics.unsupported(position, construct)
        return ParseError()

    def expect(self, text: str) -> None:
        """Read an operator or keyword that must come next."""
        if not self.eat(text):
            raise self.fail(f"Expected '{text}', got {self.token}")

    def identifier(self) -> str:
        """Read an identifier."""
        if self.token.kind != "id":
            raise self.fail(f"Expected identifier, got {self.token}")
        return self.take().text

    def doc(self) -> list[str]:
        """Read a documentation comment, if there is one."""
        if self.token.kind != "doc":
            return []
        token = self.take()
        if "\n".join(token.lines).count("`") % 2:
            self.diagnostics.error(token.position, "Unterminated code in documentation comment")
        return token.lines

    # { item "," } item
    def list_of(self, item: Callable[[], T]) -> list[T]:
        """Read items with commas between them."""
        items = [item()]
        while self.eat(","):
            items.append(item())
        return items

    # "{" { item "," } [ item ] "}"
    def braced(self, item: Callable[[], T]) -> list[T]:
        """Read items in braces with commas between them, one behind the last included."""
        items: list[T] = []
        self.expect("{")
        while not self.see("}"):
            items.append(item())
            if not self.eat(","):
                break
        self.expect("}")
        return items

    def skip_broken(self) -> None:
        """Skip the rest of a broken statement or member: past a semicolon or block, or to the end of the outer one."""
        depth = 0
        while not self.ended():
            if self.see("{"):
                depth += 1
            elif self.see("}"):
                if depth == 0:
                    return
                depth -= 1
                if depth == 0:
                    self.at += 1
                    return
            elif self.see(";") and depth == 0:
                self.at += 1
                return
            self.at += 1

    def skip_to(self, *starters: str) -> None:
        """Skip to a keyword that starts a declaration, outside of braces."""
        depth = 0
        while not self.ended():
            if self.see("{"):
                depth += 1
            elif self.see("}"):
                depth -= 1
            elif depth <= 0 and self.see(*starters):
                return
            self.at += 1
