"""Calls of the methods of the program."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.checks.conversions import Conversions
from pyfut.checks.library import Library
from pyfut.checks.pure_calls import PureCall
from pyfut.checks.types import ERROR, ClassType, Kind, Type, is_storage
from pyfut.checks.whole import Whole
from pyfut.syntax import ast


class Calls:
    """Checks calls."""

    def __init__(self, context: Context, whole: Whole, conversions: Conversions, library: Library) -> None:
        self.context = context
        self.whole = whole
        self.conversions = conversions
        self.library = library

    def call(self, expr: ast.Call) -> Type:
        """Check a call, of the standard library or of a method of the program."""
        target = expr.target
        for argument in expr.arguments:
            self.whole.value_of(argument)
        if isinstance(target, ast.Member):
            library = self.library.call(expr, target)
            if library is not None:
                return library
        self.whole.check(target)
        symbol = target.symbol
        if symbol is None:
            return ERROR
        if not isinstance(symbol, ast.MethodDecl):
            return self.context.error(expr.position, "Expected a method")
        expr.method = symbol
        if not symbol.is_virtual or not self._is_dispatched(target):
            self.context.uses.add(symbol)
        elif self.context.method is not None and self.context.method.is_constructor and isinstance(target, ast.Name):
            self.context.refuse(expr.position, "call of a virtual method in a constructor")
        self._check_mutator(expr, target, symbol)
        self._check_arguments(expr, symbol)
        self._check_throws(expr, symbol)
        if symbol.is_static:
            arguments = [argument.value for argument in expr.arguments]
            arguments += [p.init.value if p.init is not None else None for p in symbol.parameters[len(arguments) :]]
            if None not in arguments and arguments:
                expr.value = self._pure(symbol, arguments)
        return symbol.type

    @staticmethod
    def _is_dispatched(target: ast.Name | ast.Member) -> bool:
        """Whether a call of a virtual method depends on the runtime type of the object."""
        if isinstance(target, ast.Name):
            return True
        is_base = isinstance(target.object, ast.Name) and target.object.name == "base"
        return not is_base and not is_storage(target.object.type)

    def _pure(self, symbol: ast.MethodDecl, arguments: list[ast.Value]) -> ast.Value:
        """Return the value of a pure call that fits the type of the method, for use in constants."""
        value = PureCall(symbol, arguments).evaluate()
        if isinstance(value, (bool, int, str, ast.EnumValue)):
            return value
        return None

    def _check_mutator(self, expr: ast.Call, target: ast.Name | ast.Member, symbol: ast.MethodDecl) -> None:
        if not symbol.mutator or symbol.is_static:
            return
        if isinstance(target, ast.Name) or (isinstance(target.object, ast.Name) and target.object.name == "base"):
            if self.context.method is not None and not self.context.method.mutator:
                self.context.error(
                    expr.position, f"Cannot call mutating method '{symbol.name}' from a non-mutating method"
                )
            return
        holder = self.conversions.effective(target.object)
        if isinstance(holder, ClassType) and holder.kind is Kind.READ:
            self.context.error(expr.position, f"Cannot call mutating method '{symbol.name}' on a read-only reference")

    def _check_arguments(self, expr: ast.Call, symbol: ast.MethodDecl) -> None:
        if len(expr.arguments) > len(symbol.parameters):
            self.context.error(expr.position, f"Too many arguments for '{symbol.name}'")
            return
        for argument, parameter in zip(expr.arguments, symbol.parameters, strict=False):
            self.conversions.convert(argument, parameter.type, is_argument=True)
        missing = symbol.parameters[len(expr.arguments) :]
        if any(p.init is None for p in missing):
            self.context.error(expr.position, f"Too few arguments for '{symbol.name}'")

    def _check_throws(self, expr: ast.Call, symbol: ast.MethodDecl) -> None:
        for thrown in symbol.throws:
            if self.context.method is None:
                self.context.error(
                    expr.position, f"Cannot call method '{symbol.name}' here because it is marked 'throws'"
                )
            elif not self.context.may_throw(thrown.name):
                self.context.error(
                    expr.position, f"Method marked 'throws {thrown.name}' called from a method without it"
                )
