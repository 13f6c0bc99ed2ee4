"""Expressions."""

from __future__ import annotations

import re

from pyfut.c.arrays import Arrays
from pyfut.c.calls import Calls
from pyfut.c.conversions import Conversions
from pyfut.c.exceptions import Exceptions
from pyfut.c.fresh import is_new_string, is_owned
from pyfut.c.hierarchy import base_path
from pyfut.c.kit import Kit
from pyfut.c.library import Library
from pyfut.c.lifetimes import Lifetimes
from pyfut.c.operators import Operators
from pyfut.c.ownership import Ownership
from pyfut.c.precedence import POSTFIX, UNARY
from pyfut.c.printing import Printing
from pyfut.c.rounding import Rounding
from pyfut.c.temporaries import Temporaries
from pyfut.checks.types import FLOAT, INT, LONG, ArrayType, ClassType, Kind, StringType, is_storage
from pyfut.syntax import ast


class Expressions:
    """Writes expressions, each part by the class that knows about it."""

    def __init__(self, kit: Kit, lifetimes: Lifetimes) -> None:
        self.place = kit.place
        self.needs = kit.needs
        self.names = kit.names
        self.types = kit.types
        self.values = kit.values
        self.lifetimes = lifetimes
        self.temporaries = Temporaries(kit)
        self.exceptions = Exceptions(kit, self.temporaries)
        rounding = Rounding(kit, self)
        self.conversions = Conversions(kit, self, rounding)
        self.ownership = Ownership(kit, self, self.conversions)
        self.operators = Operators(kit, self, rounding, self.conversions)
        self.arrays = Arrays(kit, self, self.conversions)
        self.printing = Printing(kit, self)
        self.library = Library(kit, self, rounding, self.conversions, self.printing, self.arrays)
        self.calls = Calls(kit, self, self.temporaries, self.conversions, self.ownership, self.exceptions)

    def expr(self, expr: ast.Expr, minimum: int = 0) -> str:
        """Return an expression, in parentheses if it binds less tightly than `minimum`."""
        text, precedence = self.evaluate(expr)
        return f"({text})" if precedence < minimum else text

    def repeated(self, expr: ast.Expr) -> str:
        """Return an expression that is evaluated more than once."""
        with self.place.guarded():
            return self.expr(expr)

    def raw(self, expr: ast.Expr) -> str:
        """Return an expression; what it allocates is left to the caller."""
        return self._write(expr)[0]

    def evaluate(self, expr: ast.Expr) -> tuple[str, int]:
        """Return an expression and how tightly it binds; what it allocates is released with the scope."""
        text, precedence = self._write(expr)
        if is_owned(expr):
            self.needs.helper("FuShared_Release")
            return self.temporaries.keep_shared(expr, text), POSTFIX
        if is_new_string(expr):
            return self.temporaries.keep_string(expr, text), POSTFIX
        return text, precedence

    def _write(self, expr: ast.Expr) -> tuple[str, int]:
        match expr:
            case ast.Literal():
                return self._literal(expr), POSTFIX
            case ast.Name() | ast.Member():
                return self._named(expr)
            case ast.Index():
                return self._index(expr)
            case ast.Call(method=ast.MethodDecl() as method):
                return self.calls.call(expr, method)
            case ast.Call():
                return self.library.call(expr)
            case ast.Unary():
                return self.operators.unary(expr)
            case ast.Postfix():
                return f"{self.expr(expr.operand, POSTFIX)}{expr.operator}", POSTFIX
            case ast.Binary():
                return self.operators.binary(expr)
            case ast.Select():
                return self.conversions.select(expr, expr.type)
            case ast.New(fields=[_, *_]):
                return self.place.refuse(expr, "object initializer in this place"), POSTFIX
            case ast.New():
                return self._new(expr), UNARY
            case ast.Is():
                return self.place.refuse(expr, "'is'"), POSTFIX
            case ast.Interpolated():
                return self.printing.interpolated(expr), POSTFIX
            case ast.Resource():
                return self._resource(expr), POSTFIX
        assert isinstance(expr, ast.Assign), type(expr)
        return self.place.refuse(expr, "assignment inside an expression"), POSTFIX

    def _literal(self, expr: ast.Literal) -> str:
        match expr.literal:
            case None:
                return self.needs.null()
            case bool() | str():
                return self.values.const(expr.literal, expr.type)
            case float():
                return expr.text.replace("_", "")
            case number if expr.text.startswith("'"):
                return expr.text if number < 128 else str(number)
            case number:
                text = expr.text.replace("_", "")
                as_in_c = re.fullmatch(r"[0-9]+|0[xX].*", text) and number <= INT.maximum
                return text if as_in_c else str(number)

    def _named(self, expr: ast.Name | ast.Member) -> tuple[str, int]:
        symbol = expr.symbol
        match symbol:
            case ast.ConstDecl() if isinstance(symbol.type, ArrayType):
                return self.names.const(symbol), POSTFIX
            case ast.ConstDecl():
                text, precedence = self.values.value(expr.value, symbol.type)
                suffix = {FLOAT: "f", LONG: "LL"}.get(expr.type, "") if re.fullmatch(r"-?[\d.e+-]+", text) else ""
                return text + suffix, precedence
            case ast.EnumValue():
                return self.values.const(symbol, expr.type), POSTFIX
            case ast.BuiltinMember():
                return self.library.member(expr, symbol)
            case ast.Var():
                return self.names.var(symbol), POSTFIX
            case ast.FieldDecl():
                return self._field(expr, symbol), POSTFIX
        assert expr.name in ("this", "base")
        return "self", POSTFIX

    def _field(self, expr: ast.Name | ast.Member, field: ast.FieldDecl) -> str:
        if isinstance(expr, ast.Name):
            assert self.place.owner is not None
            return f"self->{base_path(self.place.owner, field.owner)}{self.names.local(field.name)}"
        holder = expr.object.type
        assert isinstance(holder, ClassType)
        arrow = "." if is_storage(holder) else "->"
        path = base_path(holder.decl, field.owner)
        return f"{self.expr(expr.object, POSTFIX)}{arrow}{path}{self.names.local(field.name)}"

    def _index(self, expr: ast.Index) -> tuple[str, int]:
        text = f"{self.expr(expr.object, POSTFIX)}[{self.expr(expr.index)}]"
        if isinstance(expr.object.type, StringType):
            self.needs.include("stdint.h")
            return f"(uint8_t) {text}", UNARY
        return text, POSTFIX

    def _new(self, expr: ast.New) -> str:
        type_, make = expr.type, self.needs.helper("FuShared_Make")
        if isinstance(type_, ArrayType):
            length = expr.written.brackets[0].length
            assert length is not None
            element, count = type_.element, self.expr(length)
        else:
            assert isinstance(type_, ClassType)
            element, count = ClassType(type_.decl, Kind.STORAGE), "1"
        life = ", ".join(self.lifetimes.element_life(element))
        size = f"sizeof({self.types.element_type(element)})"
        return f"({self.types.spelled(type_)}) {make}({count}, {size}, {life})"

    def _resource(self, expr: ast.Resource) -> str:
        name = f"FuResource_{re.sub(r'[^A-Za-z0-9]', '_', str(expr.name.value))}"
        rows = [expr.content[i : i + 16] for i in range(0, len(expr.content), 16)] or [b"\0"]
        body = ",\n\t".join(", ".join(str(byte) for byte in row) for row in rows)
        self.needs.include("stdint.h")
        self.needs.helpers[name] = f"static const uint8_t {name}[{max(len(expr.content), 1)}] = {{\n\t{body}\n}};"
        return name
