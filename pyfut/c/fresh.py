"""Which expressions yield something that did not exist before, and that somebody has to release."""

from __future__ import annotations

from pyfut.checks.types import STRING_STORAGE, is_dynamic
from pyfut.syntax import ast


def is_owned(expr: ast.Expr) -> bool:
    """Whether the value of an expression of a dynamic reference type comes with a share of its own."""
    return is_dynamic(expr.type) and isinstance(expr, (ast.New, ast.Call))


def is_new_string(expr: ast.Expr) -> bool:
    """Whether the value of an expression is a string that somebody has to free."""
    if expr.type != STRING_STORAGE:
        return False
    return isinstance(expr, ast.Call) or (expr.value is None and isinstance(expr, (ast.Binary, ast.Interpolated)))
