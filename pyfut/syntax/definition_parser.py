"""Tokens to constants and initial values, which are the same in classes and in blocks."""

from __future__ import annotations

from pyfut.syntax import ast
from pyfut.syntax.expression_parser import ExpressionParser
from pyfut.syntax.token_stream import TokenStream


class DefinitionParser:
    """Reads constants and initial values."""

    def __init__(self, stream: TokenStream, expressions: ExpressionParser) -> None:
        self.stream = stream
        self.expressions = expressions

    # initial-value = [ "=" ( field-values | expression ) ]
    def initial_value(self) -> ast.Expr | None:
        """Read an initial value, if there is one."""
        position = self.stream.position
        if not self.stream.eat("="):
            return None
        if self.stream.see("{"):
            return ast.ObjectInit(position, self.expressions.field_values())
        return self.expressions.expression()

    # const = type NAME "=" ( "{" { expression "," } [ expression ] "}" | expression ) ";"
    def const(self, owner: ast.ClassDecl, visibility: ast.Visibility, doc: list[str]) -> ast.ConstDecl:
        """Read a constant, behind `const`."""
        written = self.expressions.types.type()
        position = self.stream.position
        name = self.stream.identifier()
        self.stream.expect("=")
        start = self.stream.position
        init: ast.Expr
        if self.stream.see("{"):
            init = ast.Aggregate(start, self.stream.braced(self.expressions.expression))
        else:
            init = self.expressions.expression()
        self.stream.expect(";")
        return ast.ConstDecl(position, owner, visibility, name, written, init, doc)
