"""Which integers are known not to be negative, so that Python's `//` and `%` agree with other languages."""

from __future__ import annotations

from pyfut.checks.types import BYTE, UINT, USHORT
from pyfut.syntax import ast


class Signs:
    """Tells what is not negative."""

    def __init__(self) -> None:
        self.nonnegative: set[ast.Var] = set()
        """The variables of the enclosing loops that count up from something not negative."""

    def is_nonnegative(self, expr: ast.Expr) -> bool:
        """Whether an integer is known not to be negative."""
        if isinstance(expr.value, int):
            return expr.value >= 0
        if expr.type in (BYTE, USHORT, UINT):
            return True
        match expr:
            case ast.Binary(operator="&"):
                return self.is_nonnegative(expr.left) or self.is_nonnegative(expr.right)
            case ast.Binary(operator="%" | ">>" | "<<"):
                return self.is_nonnegative(expr.left)
            case ast.Binary(operator="+" | "*" | "/" | "|" | "^"):
                return self.is_nonnegative(expr.left) and self.is_nonnegative(expr.right)
            case ast.Select():
                return self.is_nonnegative(expr.on_true) and self.is_nonnegative(expr.on_false)
            case ast.Name():
                return expr.symbol in self.nonnegative
            case ast.Member():
                return isinstance(expr.symbol, ast.BuiltinMember)
        return False
