"""Calls of the standard library."""

from __future__ import annotations

from pyfut.checks.types import EnumType
from pyfut.python.arrays import Arrays
from pyfut.python.module import Module
from pyfut.python.names import Names
from pyfut.python.precedence import COMPARISON, PRECEDENCE, PRIMARY
from pyfut.python.whole import Whole
from pyfut.syntax import ast

MATH = {
    "Acos": "acos", "Asin": "asin", "Atan": "atan", "Atan2": "atan2", "Ceiling": "ceil", "Cos": "cos",
    "Cosh": "cosh", "Exp": "exp", "Floor": "floor", "IsFinite": "isfinite", "IsInfinity": "isinf", "IsNaN": "isnan",
    "Log": "log", "Log10": "log10", "Log2": "log2", "Pow": "pow", "Sin": "sin", "Sinh": "sinh", "Sqrt": "sqrt",
    "Tan": "tan", "Tanh": "tanh", "Truncate": "trunc",
}  # fmt: skip


HELPER_METHODS = {"Round": "_round", "Cbrt": "_cbrt", "FusedMultiplyAdd": "_fma"}


BIT_FORMATS = {
    "Int32BitsToSingle": ("f", "I", 0xFFFFFFFF),
    "Int64BitsToDouble": ("d", "Q", 0xFFFFFFFFFFFFFFFF),
    "SingleToInt32Bits": ("i", "f", 0),
    "DoubleToInt64Bits": ("q", "d", 0),
}
STRING_METHODS = {
    "StartsWith": "startswith",
    "EndsWith": "endswith",
    "IndexOf": "find",
    "LastIndexOf": "rfind",
    "Replace": "replace",
    "ToLower": "lower",
    "ToUpper": "upper",
}


class Library:
    """Writes calls of methods that no class of the program defines."""

    def __init__(self, module: Module, names: Names, whole: Whole, arrays: Arrays) -> None:
        self.module = module
        self.names = names
        self.whole = whole
        self.arrays = arrays

    def call(self, expr: ast.Call) -> tuple[str, int]:
        """Return a call of a builtin method."""
        group, _, name = expr.builtin.partition(".")
        match group:
            case "Math":
                return self._math(expr, name)
            case "BitConverter":
                return self._bits(expr, name)
            case "Console":
                return self._console(expr, name)
            case "string":
                return self._string(expr, name)
            case "enum":
                return self._enum(expr, name)
        return self.arrays.value(expr, name)

    def _math(self, expr: ast.Call, name: str) -> tuple[str, int]:
        arguments = [self.whole.expr(a) for a in expr.arguments]
        joined = ", ".join(arguments)
        if name in ("Max", "Min", "Abs"):
            return f"{self.module.builtin(name.lower())}({joined})", PRIMARY
        if name == "Clamp":
            value, low, high = arguments
            return f"{self.module.builtin('min')}({self.module.builtin('max')}({value}, {low}), {high})", PRIMARY
        if name in HELPER_METHODS:
            return f"{self.module.helper(HELPER_METHODS[name])}({joined})", PRIMARY
        return f"{self.module.imported('math')}.{MATH[name]}({joined})", PRIMARY

    def _bits(self, expr: ast.Call, name: str) -> tuple[str, int]:
        module = self.module.imported("struct")
        result, argument, mask = BIT_FORMATS[name]
        value = self.whole.expr(expr.arguments[0], PRECEDENCE["&"] + 1) if mask else self.whole.expr(expr.arguments[0])
        masked = f"{value} & {mask:#x}" if mask else value
        return f'{module}.unpack("<{result}", {module}.pack("<{argument}", {masked}))[0]', PRIMARY

    def _console(self, expr: ast.Call, name: str) -> tuple[str, int]:
        arguments = [self.whole.expr(a) for a in expr.arguments]
        if name.endswith("Write"):
            arguments.append('end=""')
        if name.startswith("Error."):
            arguments.append(f"file={self.module.imported('sys')}.stderr")
        return f"{self.module.builtin('print')}({', '.join(arguments)})", PRIMARY

    def _string(self, expr: ast.Call, name: str) -> tuple[str, int]:
        assert isinstance(expr.target, ast.Member)
        if name == "Contains":
            needle = self.whole.expr(expr.arguments[0], COMPARISON + 1)
            return f"{needle} in {self.whole.expr(expr.target.object, COMPARISON + 1)}", COMPARISON
        if len(expr.arguments) == 2:
            self.arrays.refuse_side_effects(expr, name)
        text = self.whole.expr(expr.target.object, PRIMARY)
        arguments = [self.whole.expr(a) for a in expr.arguments]
        if name == "Substring":
            end = self.arrays.end(expr.arguments[0], expr.arguments[1]) if len(arguments) == 2 else ""
            return f"{text}[{arguments[0]}:{end}]", PRIMARY
        return f"{text}.{STRING_METHODS[name]}({', '.join(arguments)})", PRIMARY

    def _enum(self, expr: ast.Call, name: str) -> tuple[str, int]:
        assert isinstance(expr.target, ast.Member)
        if name == "FromInt":
            assert isinstance(expr.type, EnumType)
            return f"{self.names.type(expr.type.decl)}({self.whole.expr(expr.arguments[0])})", PRIMARY
        holder = self.whole.expr(expr.target.object, PRIMARY)
        if name == "ToInt":
            return f"{holder}.value", PRIMARY
        return f"{self.whole.expr(expr.arguments[0], COMPARISON + 1)} in {holder}", COMPARISON
