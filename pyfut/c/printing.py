"""Text made of values: `Console` and interpolated strings."""

from __future__ import annotations

from pyfut.c.kit import Kit
from pyfut.c.precedence import UNARY
from pyfut.c.whole import Whole
from pyfut.checks.types import LONG, NINT, Floating, StringType
from pyfut.naming import escape
from pyfut.syntax import ast


class Printing:
    """Writes calls of `printf` and the like."""

    def __init__(self, kit: Kit, whole: Whole) -> None:
        self.needs = kit.needs
        self.whole = whole

    def _format(self, expr: ast.Expr) -> tuple[str, str]:
        """Return the conversion of `printf` for an expression, and the argument."""
        if isinstance(expr.value, str):
            return "%s", escape(expr.value)
        if isinstance(expr.type, StringType):
            return "%s", self.whole.expr(expr)
        if isinstance(expr.type, Floating):
            return "%g", self.whole.expr(expr)
        if expr.type == LONG:
            return "%lld", f"(long long) {self.whole.expr(expr, UNARY)}"
        if expr.type == NINT:
            self.needs.include("stddef.h")
            return "%td", f"(ptrdiff_t) {self.whole.expr(expr, UNARY)}"
        return "%d", self.whole.expr(expr)

    def _printf_parts(self, expr: ast.Interpolated) -> tuple[str, list[str]]:
        text = ""
        arguments: list[str] = []
        for part in expr.parts:
            if isinstance(part, str):
                text += escape(part)[1:-1].replace("%", "%%")
                continue
            conversion, argument = self._format(part.expr)
            text += self._conversion(part, conversion)
            arguments.append(argument)
        return f'"{text}"', arguments

    @staticmethod
    def _conversion(part: ast.Interpolation, conversion: str) -> str:
        letter, digits = part.format[:1], part.format[1:]
        width = str(part.width) if part.width else ""
        length = conversion[1:-1]
        if letter in ("D", "d"):
            return f"%{width}{'.' + digits if digits else ''}{length}d"
        if letter in ("X", "x"):
            return f"%{width}{'.' + digits if digits else ''}{length}{letter}"
        if letter:
            return f"%{width}{'.' + digits if digits else ''}{letter if letter in 'Ee' else 'f'}"
        return f"%{width}{conversion[1:]}"

    def interpolated(self, expr: ast.Interpolated) -> str:
        """Return a new string, or a constant one."""
        if isinstance(expr.value, str):
            return escape(expr.value)
        text, arguments = self._printf_parts(expr)
        return f"{self.needs.helper('FuString_Format')}({', '.join([text, *arguments])})"

    def console(self, expr: ast.Call, name: str) -> str:
        """Return `Console.Write` and the like."""
        self.needs.include("stdio.h")
        stream = "stderr" if name.startswith("Error.") else "stdout"
        newline = "\\n" if name.endswith("WriteLine") else ""
        if not expr.arguments:
            return f"fputc('\\n', {stream})" if stream == "stderr" else "putchar('\\n')"
        argument = expr.arguments[0]
        if isinstance(argument.value, str) or isinstance(argument, ast.Literal):
            text = argument.value if isinstance(argument.value, str) else str(argument.value)
            if newline and stream == "stdout":
                return f"puts({escape(text)})"
            text += "\n" if newline else ""
            return f"fputs({escape(text)}, {stream})"
        printf = "printf(" if stream == "stdout" else "fprintf(stderr, "
        if isinstance(argument, ast.Interpolated):
            text, arguments = self._printf_parts(argument)
            return f"{printf}{', '.join([text[:-1] + newline + text[-1], *arguments])})"
        conversion, value = self._format(argument)
        if conversion == "%s" and stream == "stdout" and newline:
            return f"puts({value})"
        if conversion == "%s" and not newline:
            return f"fputs({value}, {stream})"
        return f'{printf}"{conversion}{newline}", {value})'
