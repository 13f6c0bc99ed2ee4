"""Expressions."""

from __future__ import annotations

import re

from pyfut.checks.folding import wrap
from pyfut.checks.types import INT, UINT, ArrayType, ClassType, StringType, Type
from pyfut.naming import escape
from pyfut.python.arrays import Arrays
from pyfut.python.calls import Calls
from pyfut.python.library import Library
from pyfut.python.module import Module
from pyfut.python.names import Names
from pyfut.python.operators import Operators
from pyfut.python.precedence import PRECEDENCE, PRIMARY, UNARY
from pyfut.python.signs import Signs
from pyfut.python.steps import Steps
from pyfut.python.strings import Strings
from pyfut.python.values import Values
from pyfut.syntax import ast


class Expressions:
    """Writes expressions, each part by the class that knows about it."""

    def __init__(self, module: Module, names: Names, values: Values) -> None:
        self.module = module
        self.names = names
        self.values = values
        self.signs = Signs()
        self.steps = Steps(module, self)
        self.operators = Operators(module, self, self.steps, self.signs)
        self.arrays = Arrays(module, values, self)
        self.library = Library(module, names, self, self.arrays)
        self.calls = Calls(names, self)
        self.strings = Strings(self)

    def expr(self, expr: ast.Expr, minimum: int = 0) -> str:
        """Return an expression, in parentheses if it binds less tightly than `minimum`."""
        text, precedence = self._write(expr)
        return f"({text})" if precedence < minimum else text

    def coerce(self, expr: ast.Expr, target: Type) -> str:
        """Return an expression whose value is stored in a variable of the given type."""
        value = expr.value
        if target in (INT, UINT) and isinstance(value, int) and not isinstance(value, bool):
            wrapped = wrap(value, INT)
            if wrapped != value:
                return str(wrapped)
        return self.expr(expr)

    def _write(self, expr: ast.Expr) -> tuple[str, int]:
        """Return an expression and how tightly it binds."""
        match expr:
            case ast.Literal():
                return self._literal(expr), PRIMARY
            case ast.Name() | ast.Member():
                return self._named(expr)
            case ast.Index():
                return self._index(expr), PRIMARY
            case ast.Call(method=ast.MethodDecl() as method):
                return self.calls.call(expr, method)
            case ast.Call():
                return self.library.call(expr)
            case ast.Unary() | ast.Postfix():
                return self.operators.unary(expr)
            case ast.Binary():
                return self.operators.binary(expr)
            case ast.Select():
                return self.operators.select(expr)
            case ast.New(fields=[_, *_]):
                return self.module.refuse(expr, "object initializer in this place"), PRIMARY
            case ast.New():
                return self._new(expr)
            case ast.Is():
                return self._is(expr), PRIMARY
            case ast.Interpolated():
                return self.strings.interpolated(expr), PRIMARY
            case ast.Resource():
                return self._resource(expr), PRIMARY
        assert isinstance(expr, ast.Assign), type(expr)
        return self.module.refuse(expr, "assignment inside an expression"), PRIMARY

    @staticmethod
    def _literal(expr: ast.Literal) -> str:
        if isinstance(expr.literal, str):
            return escape(expr.literal)
        if expr.literal is None or isinstance(expr.literal, bool):
            return repr(expr.literal)
        return str(expr.literal) if expr.text.startswith("'") else expr.text

    def _index(self, expr: ast.Index) -> str:
        text = f"{self.expr(expr.object, PRIMARY)}[{self.expr(expr.index)}]"
        return f"{self.module.builtin('ord')}({text})" if isinstance(expr.object.type, StringType) else text

    def _named(self, expr: ast.Name | ast.Member) -> tuple[str, int]:
        symbol = expr.symbol
        match symbol:
            case ast.ConstDecl():
                if isinstance(symbol.type, ArrayType):
                    return f"{self.names.type(symbol.owner)}.{self.names.const(symbol)}", PRIMARY
                return self._value(expr.value, symbol.type)
            case ast.EnumValue():
                return self.values.const(symbol, expr.type), PRIMARY
            case ast.BuiltinMember():
                if symbol.name == "Length" and isinstance(expr, ast.Member) and not isinstance(expr.value, int):
                    return f"{self.module.builtin('len')}({self.expr(expr.object)})", PRIMARY
                return self._value(expr.value, expr.type)
            case ast.Var():
                return self.names.var(symbol), PRIMARY
            case ast.FieldDecl():
                holder = self.expr(expr.object, PRIMARY) if isinstance(expr, ast.Member) else "self"
                return f"{holder}.{self.names.member(symbol)}", PRIMARY
        assert expr.name in ("this", "base")
        return "self", PRIMARY

    def _value(self, value: ast.Value, type_: Type) -> tuple[str, int]:
        text = self.values.const(value, type_)
        return text, UNARY if text.startswith("-") else PRIMARY

    def _new(self, expr: ast.New) -> tuple[str, int]:
        type_ = expr.type
        if isinstance(type_, ArrayType):
            length = expr.written.brackets[0].length
            assert length is not None
            return self.values.new_array(type_.element, self.expr(length)), PRECEDENCE["*"]
        assert isinstance(type_, ClassType)
        return f"{self.names.type(type_.decl)}()", PRIMARY

    def _is(self, expr: ast.Is) -> str:
        decl = next(d for d in self.module.program.classes if d.name == expr.written.name)
        subject = self.expr(expr.object)
        if expr.variable is not None:
            subject = f"{self.names.var(expr.variable)} := {subject}"
        return f"{self.module.builtin('isinstance')}({subject}, {self.names.type(decl)})"

    def _resource(self, expr: ast.Resource) -> str:
        name = f"_RESOURCE_{re.sub(r'[^A-Za-z0-9]', '_', str(expr.name.value)).upper()}"
        self.module.resources[name] = expr.content
        return name
