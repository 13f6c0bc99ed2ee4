"""Comparisons that are settled before they are written, since compilers would warn of them."""

from __future__ import annotations

from pyfut.checks.folding import COMPARISONS
from pyfut.checks.types import Integer
from pyfut.syntax import ast
from pyfut.syntax.walk import steps


def settled(expr: ast.Binary) -> bool | None:
    """Return the result of comparing a small integer with a constant at or beyond the end of its range."""
    compare = COMPARISONS.get(expr.operator)
    if compare is None or steps(expr):
        return None
    for operand, constant in ((expr.left, expr.right), (expr.right, expr.left)):
        source, value = operand.type, constant.value
        if isinstance(source, Integer) and isinstance(value, int) and operand.value is None:
            low, high = (
                compare(bound, value) if operand is expr.left else compare(value, bound)
                for bound in (source.minimum, source.maximum)
            )
            beyond = not source.minimum <= value <= source.maximum
            if low == high and (beyond or expr.operator not in ("==", "!=")):
                return low
    return None
