"""What the writers of parts of an expression ask of the writer of whole expressions, `expressions.Expressions`."""

from __future__ import annotations

from typing import Protocol

from pyfut.syntax import ast


class Whole(Protocol):
    """Writes any expression."""

    def expr(self, expr: ast.Expr, minimum: int = 0) -> str:
        """Return an expression, in parentheses if it binds less tightly than `minimum`."""

    def evaluate(self, expr: ast.Expr) -> tuple[str, int]:
        """Return an expression and how tightly it binds; what it allocates is released with the scope."""

    def raw(self, expr: ast.Expr) -> str:
        """Return an expression; what it allocates is left to the caller."""
