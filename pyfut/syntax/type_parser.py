"""Tokens to types."""

from __future__ import annotations

from collections.abc import Callable

from pyfut.errors import ParseError
from pyfut.naming import words
from pyfut.syntax import ast
from pyfut.syntax.token_stream import TokenStream

GENERIC_TYPES = words("List Queue Stack HashSet SortedSet Dictionary SortedDictionary OrderedDictionary PriorityQueue")


class TypeParser:
    """Reads types."""

    def __init__(self, stream: TokenStream, expression: Callable[[], ast.Expr]) -> None:
        self.stream = stream
        self.expression = expression
        """Reads the length of an array."""

    # type = "void" | NAME [ "(" ")" ] marks { "[" [ expression ] "]" marks }
    def type(self) -> ast.TypeNode:
        """Read a type."""
        position = self.stream.position
        if self.stream.eat("void"):
            return ast.TypeNode(position, "void")
        name = self.stream.identifier()
        if name in GENERIC_TYPES and self.stream.see("<"):
            self.stream.diagnostics.unsupported(position, name)
            self._skip_type_arguments()
            name = ""
        node = ast.TypeNode(position, name)
        if self.stream.eat("("):
            if not self.stream.eat(")"):
                raise self.stream.fail("Expected empty parentheses for storage type")
            node.storage = True
        node.marks = self._marks()
        while self.stream.see("["):
            bracket = self.stream.take().position
            length = None if self.stream.see("]") else self.expression()
            self.stream.expect("]")
            node.brackets.append(ast.Bracket(bracket, length, self._marks()))
        return node

    # marks = { "!" | "#" | "?" }
    def _marks(self) -> str:
        marks = ""
        while mark := self.stream.eat("!", "#", "?"):
            marks += mark
        return marks

    # type arguments = "<" { any token } ">"
    def _skip_type_arguments(self) -> None:
        depth = 0
        while not self.stream.ended():
            depth += {"<": 1, ">": -1, ">>": -2}.get(self.stream.take().text, 0)
            if depth <= 0:
                return

    # [ type ], if NAME follows
    def try_type(self) -> ast.TypeNode | None:
        """Read a type if it is followed by a name, as in a definition of a variable."""
        start, errors = self.stream.at, self.stream.diagnostics.errors
        before = len(errors)
        try:
            node = self.type()
            if self.stream.token.kind in ("id", "string"):
                return node
        except ParseError:
            pass
        generic = self.stream.tokens[start].text in GENERIC_TYPES
        if generic and len(errors) > before:
            raise ParseError
        self.stream.at = start
        del errors[before:]
        return None
