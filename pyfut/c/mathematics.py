"""`Math` and `BitConverter`."""

from __future__ import annotations

from pyfut.c.conversions import Conversions
from pyfut.c.kit import Kit
from pyfut.c.precedence import POSTFIX
from pyfut.c.rounding import MATH, Rounding
from pyfut.c.types import SCALARS
from pyfut.c.whole import Whole
from pyfut.checks.builtins import ROUNDING
from pyfut.checks.types import DOUBLE, FLOAT, INT, LONG, Integer
from pyfut.syntax import ast

CLASSIFIERS = {"IsFinite": "isfinite", "IsInfinity": "isinf", "IsNaN": "isnan"}
BITS = {
    "Int32BitsToSingle": ("FuFloatBits", "bits", "value"),
    "Int64BitsToDouble": ("FuDoubleBits", "bits", "value"),
    "SingleToInt32Bits": ("FuFloatBits", "value", "bits"),
    "DoubleToInt64Bits": ("FuDoubleBits", "value", "bits"),
}


class Mathematics:
    """Writes calls of mathematical functions."""

    def __init__(self, kit: Kit, whole: Whole, rounding: Rounding, conversions: Conversions) -> None:
        self.needs = kit.needs
        self.whole = whole
        self.rounding = rounding
        self.conversions = conversions

    def call(self, expr: ast.Call, name: str) -> tuple[str, int]:
        """Return a method of `Math`."""
        if expr.builtin in ROUNDING:
            return self.rounding.integer(expr, "int64_t")
        if isinstance(expr.type, Integer):
            return self._integer(expr, name)
        arguments = [self.whole.expr(a) for a in expr.arguments]
        self.needs.include("math.h")
        if name in CLASSIFIERS:
            return f"{CLASSIFIERS[name]}({arguments[0]})", POSTFIX
        suffix = "f" if expr.type == FLOAT else ""
        if name == "Clamp":
            value, low, high = arguments
            return f"fmin{suffix}(fmax{suffix}({value}, {low}), {high})", POSTFIX
        function = "fabs" if name == "Abs" else MATH[name]
        return f"{function}{suffix}({', '.join(arguments)})", POSTFIX

    def _integer(self, expr: ast.Call, name: str) -> tuple[str, int]:
        arguments = ", ".join(self.whole.expr(a) for a in expr.arguments)
        if name == "Abs":
            self.needs.include("stdlib.h")
            return f"{'abs' if expr.type == INT else 'llabs'}({arguments})", POSTFIX
        return f"{self.needs.typed(name, SCALARS[expr.type])}({arguments})", POSTFIX

    def bits(self, expr: ast.Call, name: str) -> tuple[str, int]:
        """Return a method of `BitConverter`."""
        union, source, result = BITS[name]
        self.needs.helper(union)
        target = {"FuFloatBits": (INT, FLOAT), "FuDoubleBits": (LONG, DOUBLE)}[union][source == "value"]
        return f"(({union}) {{ .{source} = {self.conversions.coerce(expr.arguments[0], target)} }}).{result}", POSTFIX
