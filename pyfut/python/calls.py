"""Calls of the methods of the program."""

from __future__ import annotations

from pyfut.python.names import Names
from pyfut.python.precedence import PRIMARY
from pyfut.python.whole import Whole
from pyfut.syntax import ast


class Calls:
    """Writes calls."""

    def __init__(self, names: Names, whole: Whole) -> None:
        self.names = names
        self.whole = whole

    def call(self, expr: ast.Call, method: ast.MethodDecl) -> tuple[str, int]:
        """Return a call of a method."""
        arguments = [self.whole.coerce(a, p.type) for a, p in zip(expr.arguments, method.parameters, strict=False)]
        target = expr.target
        if method.is_static:
            holder = self.names.type(method.owner)
        elif isinstance(target, ast.Name):
            holder = "self"
        elif isinstance(target.object, ast.Name) and target.object.name == "base":
            holder = self.names.type(method.owner)
            arguments = ["self", *arguments]
        else:
            holder = self.whole.expr(target.object, PRIMARY)
        return f"{holder}.{self.names.member(method)}({', '.join(arguments)})", PRIMARY
