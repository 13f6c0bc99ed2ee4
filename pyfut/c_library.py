"""The C target: the standard library."""

from __future__ import annotations

from collections.abc import Callable

from pyfut.ast import (
    BuiltinMember,
    Call,
    Expr,
    Interpolated,
    Interpolation,
    Literal,
    Member,
    Name,
)
from pyfut.builtins import ROUNDING
from pyfut.c_expressions import CExpressions
from pyfut.c_runtime import STRINGS_CONTAIN
from pyfut.c_types import ADD, BITS, CLASSIFIERS, EQUALITY, MATH, POSTFIX, PRECEDENCE, SCALARS, UNARY
from pyfut.naming import escape
from pyfut.types import (
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    NINT,
    STRING_STORAGE,
    ArrayType,
    ClassType,
    EnumType,
    Floating,
    Integer,
    StringType,
    Type,
    is_dynamic,
    is_storage,
)


class CLibrary(CExpressions):
    """Turns calls of the standard library into C."""

    def _builtin(self, expr: Call) -> tuple[str, int]:
        group, _, name = expr.builtin.partition(".")
        handlers: dict[str, Callable[[Call, str], tuple[str, int]]] = {
            "Math": self._math,
            "BitConverter": self._bits,
            "Console": self._print,
            "string": self._string_method,
            "enum": self._enum_method,
            "array": self._array_method,
        }
        return handlers[group](expr, name)

    def _math(self, expr: Call, name: str) -> tuple[str, int]:
        if expr.builtin in ROUNDING:
            return self._rounding(expr, "int64_t")
        if isinstance(expr.type, Integer):
            return self._integer_math(expr, name)
        arguments = [self.expr(a) for a in expr.arguments]
        self.includes.add("math.h")
        if name in CLASSIFIERS:
            return f"{CLASSIFIERS[name]}({arguments[0]})", POSTFIX
        suffix = "f" if expr.type == FLOAT else ""
        if name == "Clamp":
            value, low, high = arguments
            return f"fmin{suffix}(fmax{suffix}({value}, {low}), {high})", POSTFIX
        function = "fabs" if name == "Abs" else MATH[name]
        return f"{function}{suffix}({', '.join(arguments)})", POSTFIX

    def _rounded(self, expr: Call) -> str:
        """Return a rounded number that stays a floating-point one."""
        self.includes.add("math.h")
        argument = expr.arguments[0]
        suffix = "f" if argument.type == FLOAT else ""
        return f"{MATH[expr.builtin.partition('.')[2]]}{suffix}({self.expr(argument)})"

    def _rounding(self, expr: Call, target: str) -> tuple[str, int]:
        argument = expr.arguments[0]
        name = expr.builtin.partition(".")[2]
        self._include_type(target)
        if name == "Truncate":
            return f"({target}) {self.expr(argument, UNARY)}", UNARY
        return f"({target}) {self._rounded(expr)}", UNARY

    def _integer_math(self, expr: Call, name: str) -> tuple[str, int]:
        arguments = ", ".join(self.expr(a) for a in expr.arguments)
        if name == "Abs":
            self.includes.add("stdlib.h")
            return f"{'abs' if expr.type == INT else 'llabs'}({arguments})", POSTFIX
        return f"{self.need_typed(name, SCALARS[expr.type])}({arguments})", POSTFIX

    def _bits(self, expr: Call, name: str) -> tuple[str, int]:
        union, source, result = BITS[name]
        self.need(union)
        target = {"FuFloatBits": (INT, FLOAT), "FuDoubleBits": (LONG, DOUBLE)}[union][source == "value"]
        return f"(({union}) {{ .{source} = {self.coerce(expr.arguments[0], target)} }}).{result}", POSTFIX

    def format_of(self, expr: Expr) -> tuple[str, str]:
        """Return the conversion of `printf` for an expression, and the argument."""
        if isinstance(expr.value, str):
            return "%s", escape(expr.value)
        if isinstance(expr.type, StringType):
            return "%s", self.expr(expr)
        if isinstance(expr.type, Floating):
            return "%g", self.expr(expr)
        if expr.type == LONG:
            return "%lld", f"(long long) {self.expr(expr, UNARY)}"
        if expr.type == NINT:
            self.includes.add("stddef.h")
            return "%td", f"(ptrdiff_t) {self.expr(expr, UNARY)}"
        return "%d", self.expr(expr)

    def _printf_parts(self, expr: Interpolated) -> tuple[str, list[str]]:
        text = ""
        arguments: list[str] = []
        for part in expr.parts:
            if isinstance(part, str):
                text += escape(part)[1:-1].replace("%", "%%")
                continue
            conversion, argument = self.format_of(part.expr)
            text += self._conversion(part, conversion)
            arguments.append(argument)
        return f'"{text}"', arguments

    @staticmethod
    def _conversion(part: Interpolation, conversion: str) -> str:
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

    def _interpolated(self, expr: Interpolated) -> tuple[str, int]:
        if isinstance(expr.value, str):
            return escape(expr.value), POSTFIX
        text, arguments = self._printf_parts(expr)
        return f"{self.need('FuString_Format')}({', '.join([text, *arguments])})", POSTFIX

    def _print(self, expr: Call, name: str) -> tuple[str, int]:
        self.includes.add("stdio.h")
        stream = "stderr" if name.startswith("Error.") else "stdout"
        newline = "\\n" if name.endswith("WriteLine") else ""
        if not expr.arguments:
            return (f"fputc('\\n', {stream})" if stream == "stderr" else "putchar('\\n')"), POSTFIX
        argument = expr.arguments[0]
        if isinstance(argument.value, str) or isinstance(argument, Literal):
            text = argument.value if isinstance(argument.value, str) else str(argument.value)
            if newline and stream == "stdout":
                return f"puts({escape(text)})", POSTFIX
            text += "\n" if newline else ""
            return f"fputs({escape(text)}, {stream})", POSTFIX
        printf = "printf(" if stream == "stdout" else "fprintf(stderr, "
        if isinstance(argument, Interpolated):
            text, arguments = self._printf_parts(argument)
            return f"{printf}{', '.join([text[:-1] + newline + text[-1], *arguments])})", POSTFIX
        conversion, value = self.format_of(argument)
        if conversion == "%s" and stream == "stdout" and newline:
            return f"puts({value})", POSTFIX
        if conversion == "%s" and not newline:
            return f"fputs({value}, {stream})", POSTFIX
        return f'{printf}"{conversion}{newline}", {value})', POSTFIX

    def _string_method(self, expr: Call, name: str) -> tuple[str, int]:
        assert isinstance(expr.target, Member)
        if name == "Substring":
            start, *length = expr.arguments
            text = f"{self.expr(expr.target.object, ADD)} + {self.expr(start, ADD + 1)}"
            if not length:
                return f"{self.need('FuString_Copy')}({text})", POSTFIX
            return f"{self.need('FuString_Substring')}({text}, {self.expr(length[0])})", POSTFIX
        text = self.expr(expr.target.object)
        arguments = [self.expr(a) for a in expr.arguments]
        if name == "Contains":
            self.includes.add("string.h")
            return f"strstr({text}, {arguments[0]}) != {self.null()}", EQUALITY
        if name in ("ToLower", "ToUpper"):
            return self.unsupported(expr, name, "C"), POSTFIX
        helper = self.need("FuString_ReplaceAll" if name == "Replace" else f"FuString_{name}")
        return f"{helper}({', '.join([text, *arguments])})", POSTFIX

    def _enum_method(self, expr: Call, name: str) -> tuple[str, int]:
        assert isinstance(expr.target, Member)
        if name == "FromInt":
            assert isinstance(expr.type, EnumType)
            return f"({self.type_name(expr.type.decl)}) {self.expr(expr.arguments[0], UNARY)}", UNARY
        holder = expr.target.object
        if name == "ToInt":
            return f"(int) {self.expr(holder, UNARY)}", UNARY
        flag = self.expr(expr.arguments[0], UNARY)
        return f"(~{self.expr(holder, UNARY)} & {flag}) == 0", EQUALITY

    def _array_method(self, expr: Call, name: str) -> tuple[str, int]:
        assert isinstance(expr.target, Member)
        holder = expr.target.object
        type_ = holder.type
        assert isinstance(type_, ArrayType)
        element = type_.element
        if name == "Contains" and isinstance(element, StringType):
            self.includes.update(("stdbool.h", "string.h"))
            self.helpers.setdefault("FuStrings_Contains", STRINGS_CONTAIN)
            array = f"(const char *const *) {self.expr(holder, UNARY)}"
            return f"FuStrings_Contains({array}, {type_.length}, {self.expr(expr.arguments[0])})", POSTFIX
        if name == "Contains" and isinstance(element, (ClassType, ArrayType)):
            return self.unsupported(expr, "Contains on an array of objects", "C"), POSTFIX
        if name in ("Contains", "BinarySearch"):
            value = self.coerce(expr.arguments[0], element, True)
            array = self.expr(holder)
            c_type = self.element_type(element)
            if name == "Contains":
                self.includes.add("stdbool.h")
                return f"{self.need_typed(name, c_type)}({array}, {type_.length}, {value})", POSTFIX
            part = [self.coerce(a, INT) for a in expr.arguments[1:]] or ["0", str(type_.length)]
            return f"{self.need_typed('Search', c_type)}({', '.join([array, *part, value])})", POSTFIX
        return self._bulk(expr, name, holder, element), POSTFIX

    def _bulk(self, expr: Call, name: str, holder: Expr, element: Type) -> str:
        """Return `CopyTo`, `Sort` or a `Fill` with zeros."""
        size = f"sizeof({self.element_type(element)})"
        if name == "CopyTo":
            start, destination, to, count = expr.arguments
            if is_dynamic(element) or is_storage(element) or element == STRING_STORAGE:
                return self.unsupported(expr, "CopyTo of elements that are more than numbers or references", "C")
            self.includes.add("string.h")
            return f"memmove({self.at(destination, to)}, {self.at(holder, start)}, {self.times(count)} * {size})"
        if name == "Sort":
            compare = self.need_typed("Compare", self.element_type(element))
            self.includes.add("stdlib.h")
            if not expr.arguments:
                assert isinstance(holder.type, ArrayType)
                return f"qsort({self.expr(holder)}, {holder.type.length}, {size}, {compare})"
            start, count = expr.arguments
            return f"qsort({self.at(holder, start)}, {self.expr(count)}, {size}, {compare})"
        assert name == "Fill"
        self.includes.add("string.h")
        array = self.expr(holder)
        if len(expr.arguments) == 1:
            return f"memset({array}, 0, sizeof({array}))"
        start, count = expr.arguments[1:]
        return f"memset({self.at(holder, start)}, 0, {self.times(count)} * {size})"

    def times(self, count: Expr) -> str:
        """Return a count to be multiplied by a size."""
        return self.expr(count, PRECEDENCE["*"])

    def at(self, array: Expr, start: Expr) -> str:
        """Return a pointer to the element at an index."""
        if start.value == 0:
            return self.expr(array)
        return f"{self.expr(array, ADD)} + {self.expr(start, ADD + 1)}"

    def _builtin_member(self, expr: Name | Member, symbol: BuiltinMember) -> tuple[str, int]:
        if symbol.name != "Length" or isinstance(expr.value, int):
            return self._value(expr.value, expr.type)
        assert isinstance(expr, Member)
        self.includes.add("stddef.h")
        if isinstance(expr.object.type, StringType):
            self.includes.add("string.h")
            return f"(ptrdiff_t) strlen({self.expr(expr.object)})", UNARY
        return "(argc - 1)", POSTFIX
