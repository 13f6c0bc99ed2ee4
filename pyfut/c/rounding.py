"""Numbers that are rounded: to an integer where one is wanted, else they stay floating-point ones."""

from __future__ import annotations

from pyfut.c.kit import Kit
from pyfut.c.precedence import UNARY
from pyfut.c.whole import Whole
from pyfut.checks.types import FLOAT
from pyfut.syntax import ast

MATH = {
    "Acos": "acos", "Asin": "asin", "Atan": "atan", "Atan2": "atan2", "Cbrt": "cbrt", "Ceiling": "ceil", "Cos": "cos",
    "Cosh": "cosh", "Exp": "exp", "Floor": "floor", "FusedMultiplyAdd": "fma", "Log": "log", "Log10": "log10",
    "Log2": "log2", "Max": "fmax", "Min": "fmin", "Pow": "pow", "Round": "round", "Sin": "sin", "Sinh": "sinh",
    "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh", "Truncate": "trunc",
}  # fmt: skip
"""Names of C functions, to which `f` is added for `float`."""


class Rounding:
    """Writes the methods of `Math` that round."""

    def __init__(self, kit: Kit, whole: Whole) -> None:
        self.needs = kit.needs
        self.whole = whole

    def floating(self, expr: ast.Call) -> str:
        """Return a rounded number that stays a floating-point one."""
        self.needs.include("math.h")
        argument = expr.arguments[0]
        suffix = "f" if argument.type == FLOAT else ""
        return f"{MATH[expr.builtin.partition('.')[2]]}{suffix}({self.whole.expr(argument)})"

    def integer(self, expr: ast.Call, target: str) -> tuple[str, int]:
        """Return a rounded number as an integer of a C type."""
        argument = expr.arguments[0]
        name = expr.builtin.partition(".")[2]
        self.needs.include_type(target)
        if name == "Truncate":
            return f"({target}) {self.whole.expr(argument, UNARY)}", UNARY
        return f"({target}) {self.floating(expr)}", UNARY
