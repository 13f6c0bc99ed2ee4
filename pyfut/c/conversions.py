"""Conversions that C does not make by itself, or warns of."""

from __future__ import annotations

import re

from pyfut.c.kit import Kit
from pyfut.c.precedence import SELECT, UNARY
from pyfut.c.rounding import Rounding
from pyfut.c.types import NARROW
from pyfut.c.whole import Whole
from pyfut.checks.builtins import ROUNDING
from pyfut.checks.folding import wrap
from pyfut.checks.types import DOUBLE, FLOAT, INT, LONG, NINT, ArrayType, ClassType, Integer, Kind, Type, is_storage
from pyfut.syntax import ast


class Conversions:
    """Writes expressions converted to the type of what they are stored in."""

    def __init__(self, kit: Kit, whole: Whole, rounding: Rounding) -> None:
        self.place = kit.place
        self.needs = kit.needs
        self.types = kit.types
        self.whole = whole
        self.rounding = rounding

    def coerce(self, expr: ast.Expr, target: Type, element: bool = False, minimum: int = 0) -> str:
        """Return an expression converted to a type: that of a variable or, for `element`, of an array element."""
        text, precedence = self._coerce(expr, target, element)
        return f"({text})" if precedence < minimum else text

    def _coerce(self, expr: ast.Expr, target: Type, element: bool) -> tuple[str, int]:
        match target:
            case ArrayType():
                return self.whole.evaluate(expr)
            case ClassType() if target.kind is Kind.STORAGE or not isinstance(expr.type, ClassType):
                return self.whole.evaluate(expr)
            case _ if isinstance(expr, ast.Select):
                return self.select(expr, target, element)
            case Integer():
                return self._coerce_integer(expr, target, element)
            case ClassType():
                return self._coerce_object(expr, target)
        if target == FLOAT and expr.type == DOUBLE:
            return self._coerce_double(expr)
        return self.whole.evaluate(expr)

    def select(self, expr: ast.Select, target: Type, element: bool = False) -> tuple[str, int]:
        """Return `?:` with both values converted."""
        condition = self.whole.expr(expr.condition, SELECT + 1)
        with self.place.guarded():
            on_true = self.coerce(expr.on_true, target, element, SELECT + 1)
            return f"{condition} ? {on_true} : {self.coerce(expr.on_false, target, element, SELECT)}", SELECT

    def _coerce_double(self, expr: ast.Expr) -> tuple[str, int]:
        text, precedence = self.whole.evaluate(expr)
        named = isinstance(expr, (ast.Name, ast.Member)) and isinstance(expr.value, float)
        if named or re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", text):
            return (text if text.endswith(("NAN", "INFINITY")) else f"{text}f"), precedence
        return f"(float) {text if precedence >= UNARY else f'({text})'}", UNARY

    def _coerce_integer(self, expr: ast.Expr, target: Integer, element: bool) -> tuple[str, int]:
        value = expr.value
        if isinstance(value, int) and not isinstance(value, bool):
            if target.maximum == INT.maximum and wrap(value, INT) != value:
                return f"(int) {value}", UNARY
            return self.whole.evaluate(expr)
        source = expr.type
        if isinstance(expr, ast.Call) and expr.builtin in ROUNDING:
            return self.rounding.integer(expr, self.types.spelled(target))
        if not isinstance(source, Integer):
            return self.whole.evaluate(expr)
        wanted = ""
        if element and target in NARROW and not target.minimum <= source.minimum <= source.maximum <= target.maximum:
            wanted = NARROW[target]
        elif source in (LONG, NINT) and target not in (LONG, NINT):
            wanted = "int"
        elif source == LONG and target == NINT:
            wanted = "ptrdiff_t"
        if not wanted:
            return self.whole.evaluate(expr)
        self.needs.include_type(wanted)
        return f"({wanted}) {self.whole.expr(expr, UNARY)}", UNARY

    def _coerce_object(self, expr: ast.Expr, target: ClassType) -> tuple[str, int]:
        assert isinstance(expr.type, ClassType)
        text, precedence = self.pointer(expr)
        if expr.type.decl is target.decl:
            return text, precedence
        if precedence < UNARY:
            text = f"({text})"
        return self.cast_up(text, expr.type, target), UNARY

    def cast_up(self, text: str, source: Type, target: Type) -> str:
        """Convert a pointer to a pointer to a base, which is always the first member of the structure."""
        if isinstance(source, ClassType) and isinstance(target, ClassType) and source.decl is not target.decl:
            return f"({self.types.spelled(target)}) {text}"
        return text

    def pointer(self, expr: ast.Expr) -> tuple[str, int]:
        """Return a pointer to an object."""
        if is_storage(expr.type):
            return f"&{self.whole.expr(expr, UNARY)}", UNARY
        return self.whole.evaluate(expr)
