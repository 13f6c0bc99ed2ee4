"""What the checks of parts of an expression ask of the check of whole expressions, `expressions.Expressions`."""

from __future__ import annotations

from typing import Protocol

from pyfut.checks.types import Type
from pyfut.syntax import ast


class Whole(Protocol):
    """Checks any expression."""

    def check(self, expr: ast.Expr) -> Type:
        """Determine and return the type of `expr`."""

    def value_of(self, expr: ast.Expr) -> Type:
        """Check an expression whose value is used."""

    def constant_value(self, expr: ast.Expr) -> Type:
        """Check an expression that is evaluated at compile time, so that what it uses need not exist afterwards."""

    def boolean(self, expr: ast.Expr) -> None:
        """Check a condition."""
