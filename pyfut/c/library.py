"""The standard library."""

from __future__ import annotations

from pyfut.c.arrays import Arrays
from pyfut.c.conversions import Conversions
from pyfut.c.kit import Kit
from pyfut.c.mathematics import Mathematics
from pyfut.c.precedence import ADD, EQUALITY, POSTFIX, UNARY
from pyfut.c.printing import Printing
from pyfut.c.rounding import Rounding
from pyfut.c.whole import Whole
from pyfut.checks.types import EnumType, StringType
from pyfut.syntax import ast


class Library:
    """Writes calls of methods that no class of the program defines."""

    def __init__(
        self, kit: Kit, whole: Whole, rounding: Rounding, conversions: Conversions, printing: Printing, arrays: Arrays
    ) -> None:
        self.place = kit.place
        self.needs = kit.needs
        self.names = kit.names
        self.values = kit.values
        self.whole = whole
        self.mathematics = Mathematics(kit, whole, rounding, conversions)
        self.printing = printing
        self.arrays = arrays

    def call(self, expr: ast.Call) -> tuple[str, int]:
        """Return a call of a builtin method."""
        group, _, name = expr.builtin.partition(".")
        match group:
            case "Math":
                return self.mathematics.call(expr, name)
            case "BitConverter":
                return self.mathematics.bits(expr, name)
            case "Console":
                return self.printing.console(expr, name), POSTFIX
            case "string":
                return self._string(expr, name)
            case "enum":
                return self._enum(expr, name)
        return self.arrays.call(expr, name), POSTFIX

    def _string(self, expr: ast.Call, name: str) -> tuple[str, int]:
        assert isinstance(expr.target, ast.Member)
        if name == "Substring":
            start, *length = expr.arguments
            text = f"{self.whole.expr(expr.target.object, ADD)} + {self.whole.expr(start, ADD + 1)}"
            if not length:
                return f"{self.needs.helper('FuString_Copy')}({text})", POSTFIX
            return f"{self.needs.helper('FuString_Substring')}({text}, {self.whole.expr(length[0])})", POSTFIX
        text = self.whole.expr(expr.target.object)
        arguments = [self.whole.expr(a) for a in expr.arguments]
        if name == "Contains":
            self.needs.include("string.h")
            return f"strstr({text}, {arguments[0]}) != {self.needs.null()}", EQUALITY
        if name in ("ToLower", "ToUpper"):
            return self.place.refuse(expr, name), POSTFIX
        helper = self.needs.helper("FuString_ReplaceAll" if name == "Replace" else f"FuString_{name}")
        return f"{helper}({', '.join([text, *arguments])})", POSTFIX

    def _enum(self, expr: ast.Call, name: str) -> tuple[str, int]:
        assert isinstance(expr.target, ast.Member)
        if name == "FromInt":
            assert isinstance(expr.type, EnumType)
            return f"({self.names.type(expr.type.decl)}) {self.whole.expr(expr.arguments[0], UNARY)}", UNARY
        holder = expr.target.object
        if name == "ToInt":
            return f"(int) {self.whole.expr(holder, UNARY)}", UNARY
        flag = self.whole.expr(expr.arguments[0], UNARY)
        return f"(~{self.whole.expr(holder, UNARY)} & {flag}) == 0", EQUALITY

    def member(self, expr: ast.Name | ast.Member, symbol: ast.BuiltinMember) -> tuple[str, int]:
        """Return a length or a constant."""
        if symbol.name != "Length" or isinstance(expr.value, int):
            return self.values.value(expr.value, expr.type)
        assert isinstance(expr, ast.Member)
        self.needs.include("stddef.h")
        if isinstance(expr.object.type, StringType):
            self.needs.include("string.h")
            return f"(ptrdiff_t) strlen({self.whole.expr(expr.object)})", UNARY
        return "(argc - 1)", POSTFIX
