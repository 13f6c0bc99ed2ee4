"""The methods of arrays."""

from __future__ import annotations

import math

from pyfut.c.conversions import Conversions
from pyfut.c.kit import Kit
from pyfut.c.precedence import ADD, POSTFIX, PRECEDENCE, UNARY
from pyfut.c.whole import Whole
from pyfut.checks.types import (
    INT,
    LONG,
    NINT,
    NULL,
    STRING_STORAGE,
    ArrayType,
    ClassType,
    StringType,
    Type,
    is_dynamic,
    is_storage,
)
from pyfut.syntax import ast
from pyfut.syntax.walk import has_side_effects

NOT_PLAIN = "elements that are more than numbers or references"


class Arrays:
    """Writes calls of the methods of arrays."""

    def __init__(self, kit: Kit, whole: Whole, conversions: Conversions) -> None:
        self.output = kit.output
        self.place = kit.place
        self.needs = kit.needs
        self.types = kit.types
        self.whole = whole
        self.conversions = conversions

    def call(self, expr: ast.Call, name: str) -> str:
        """Return a method of an array; a `Fill` must be one with zeros."""
        assert isinstance(expr.target, ast.Member)
        holder = expr.target.object
        assert isinstance(holder.type, ArrayType)
        match name:
            case "Contains":
                return self._contains(expr, holder, holder.type)
            case "BinarySearch":
                return self._search(expr, holder, holder.type)
            case "CopyTo":
                return self._copy(expr, holder, holder.type.element)
            case "Sort":
                return self._sort(expr, holder, holder.type)
        assert name == "Fill", name
        return self._clear(expr, holder, holder.type.element)

    def _contains(self, expr: ast.Call, holder: ast.Expr, type_: ArrayType) -> str:
        element, value = type_.element, expr.arguments[0]
        self.needs.include("stdbool.h")
        match element:
            case StringType():
                array = f"(const char *const *) {self.whole.expr(holder, UNARY)}"
                return f"{self.needs.helper('FuStrings_Contains')}({array}, {type_.length}, {self.whole.expr(value)})"
            case ClassType() | ArrayType():
                return self.place.refuse(expr, "Contains on an array of objects")
        text = self.conversions.coerce(value, element, True)
        function = self.needs.typed("Contains", self.types.element_type(element))
        return f"{function}({self.whole.expr(holder)}, {type_.length}, {text})"

    def _search(self, expr: ast.Call, holder: ast.Expr, type_: ArrayType) -> str:
        value = self.conversions.coerce(expr.arguments[0], type_.element, True)
        part = [self.conversions.coerce(a, INT) for a in expr.arguments[1:]] or ["0", str(type_.length)]
        function = self.needs.typed("Search", self.types.element_type(type_.element))
        return f"{function}({', '.join([self.whole.expr(holder), *part, value])})"

    def _copy(self, expr: ast.Call, holder: ast.Expr, element: Type) -> str:
        start, destination, to, count = expr.arguments
        if not is_plain(element):
            return self.place.refuse(expr, f"CopyTo of {NOT_PLAIN}")
        self.needs.include("string.h")
        return f"memmove({self._at(destination, to)}, {self._at(holder, start)}, {self._bytes(count, element)})"

    def _sort(self, expr: ast.Call, holder: ast.Expr, type_: ArrayType) -> str:
        element = self.types.element_type(type_.element)
        compare = self.needs.typed("Compare", element)
        self.needs.include("stdlib.h")
        if expr.arguments:
            start, count = expr.arguments
            part = f"{self._at(holder, start)}, {self.whole.expr(count)}"
        else:
            part = f"{self.whole.expr(holder)}, {type_.length}"
        return f"qsort({part}, sizeof({element}), {compare})"

    def _clear(self, expr: ast.Call, holder: ast.Expr, element: Type) -> str:
        self.needs.include("string.h")
        if len(expr.arguments) == 1:
            array = self.whole.expr(holder)
            return f"memset({array}, 0, sizeof({array}))"
        start, count = expr.arguments[1:]
        return f"memset({self._at(holder, start)}, 0, {self._bytes(count, element)})"

    def _bytes(self, count: ast.Expr, element: Type) -> str:
        """Return the size of some elements."""
        return f"{self.whole.expr(count, PRECEDENCE['*'])} * sizeof({self.types.element_type(element)})"

    def _at(self, array: ast.Expr, start: ast.Expr) -> str:
        """Return a pointer to the element at an index."""
        if start.value == 0:
            return self.whole.expr(array)
        return f"{self.whole.expr(array, ADD)} + {self.whole.expr(start, ADD + 1)}"

    def write_fill(self, expr: ast.Call) -> None:
        """Write a loop that fills an array with something else than zeros."""
        assert isinstance(expr.target, ast.Member)
        holder = expr.target.object
        type_ = holder.type
        assert isinstance(type_, ArrayType)
        if not is_plain(type_.element):
            self.place.refuse(expr, f"Fill of {NOT_PLAIN}")
            return
        value, *part = expr.arguments
        text = self.conversions.coerce(value, type_.element, True)
        if not has_side_effects(expr.arguments):
            self._fill(holder, type_, text, part)
            return
        self.output.line("{")
        with self.output.indented():
            self.output.line(f"{self.types.declare(type_.element, '_value', True, True)} = {text};")
            if part:
                self._fill_evaluated(holder, part[0], part[1])
            else:
                self._fill(holder, type_, "_value", [])
        self.output.line("}")

    def _fill(self, holder: ast.Expr, type_: ArrayType, value: str, part: list[ast.Expr]) -> None:
        """Write the loop with start and count inside it."""
        counter, limit, begin = "int", str(type_.length), ""
        if part:
            start, count = part
            counter = "ptrdiff_t" if count.type in (NINT, LONG) else "int"
            limit = self.whole.expr(count, PRECEDENCE["<"] + 1)
            begin = "" if start.value == 0 else f"{self.whole.expr(start, ADD)} + "
        self.needs.include_type(counter)
        self.output.line(f"for ({counter} _i = 0; _i < {limit}; _i++)")
        self.output.line(f"\t{self.whole.expr(holder, POSTFIX)}[{begin}_i] = {value};")

    def _fill_evaluated(self, holder: ast.Expr, start: ast.Expr, count: ast.Expr) -> None:
        """Write the loop behind start and end."""
        self.needs.include("stddef.h")
        limit = self.whole.expr(count, PRECEDENCE["<"] + 1)
        self.output.line(f"ptrdiff_t _start = {self.whole.expr(start)};")
        self.output.line(f"ptrdiff_t _end = _start + {limit};")
        self.output.line("for (ptrdiff_t _i = _start; _i < _end; _i++)")
        self.output.line(f"\t{self.whole.expr(holder, POSTFIX)}[_i] = _value;")


def is_plain(element: Type) -> bool:
    """Whether elements can be copied byte by byte."""
    return not (is_dynamic(element) or is_storage(element) or element == STRING_STORAGE)


def is_zero(expr: ast.Expr) -> bool:
    """Whether a value consists of zero bits."""
    match expr.value:
        case ast.EnumValue(number=number):
            return number == 0
        case float(number):
            return number == 0 and math.copysign(1, number) > 0
        case int(number):
            return number == 0
    return expr.type == NULL
