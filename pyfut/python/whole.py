"""What the writers of parts of an expression ask of the writer of whole expressions, `expressions.Expressions`."""

from __future__ import annotations

from typing import Protocol

from pyfut.checks.types import Type
from pyfut.syntax import ast


class Whole(Protocol):
    """Writes any expression."""

    def expr(self, expr: ast.Expr, minimum: int = 0) -> str:
        """Return an expression, in parentheses if it binds less tightly than `minimum`."""

    def coerce(self, expr: ast.Expr, target: Type) -> str:
        """Return an expression whose value is stored in a variable of the given type."""
