"""Calls of the standard library: `Math`, `BitConverter`, `Console`, and the methods of arrays, strings and enums."""

from __future__ import annotations

from pyfut.checks import builtins
from pyfut.checks.context import Context
from pyfut.checks.conversions import Conversions
from pyfut.checks.formats import Formats
from pyfut.checks.mutability import Mutability
from pyfut.checks.types import (
    BOOL,
    DOUBLE,
    ERROR,
    FLOAT,
    INT,
    LONG,
    NAMED_TYPES,
    VOID,
    ArrayType,
    EnumType,
    Floating,
    Integer,
    Kind,
    StringType,
    Type,
    is_numeric,
    promote,
)
from pyfut.checks.whole import Whole
from pyfut.syntax import ast


class Library:
    """Checks calls of methods that no class of the program defines."""

    def __init__(
        self, context: Context, whole: Whole, mutability: Mutability, conversions: Conversions, formats: Formats
    ) -> None:
        self.context = context
        self.whole = whole
        self.mutability = mutability
        self.conversions = conversions
        self.formats = formats

    def call(self, expr: ast.Call, target: ast.Member) -> Type | None:
        """Check a call of a method of the standard library; None if it is not one."""
        holder = target.object
        if isinstance(holder, ast.Name) and holder.name in ("this", "base"):
            return None
        path = self._path(holder)
        symbol = self.context.lookup(path) if "." not in path and path else None
        if path.startswith("Console") or isinstance(symbol, ast.BuiltinName):
            return self._static_call(expr, f"{path}.{target.name}", target)
        if isinstance(symbol, ast.EnumDecl) and target.name == "FromInt":
            self.whole.check(holder)
            expr.builtin = "enum.FromInt"
            self._arguments(expr, (INT,))
            return EnumType(symbol)
        if symbol is None and path in builtins.UNSUPPORTED:
            return self.context.refuse(expr.position, f"{path}.{target.name}")
        type_ = self.whole.check(holder)
        match type_:
            case ArrayType():
                return self._array_call(expr, target, type_)
            case StringType():
                return self._string_call(expr, target)
            case EnumType():
                return self._enum_call(expr, target, type_)
            case Integer() | Floating() if target.name == "TryParse":
                if isinstance(holder, ast.Name) and isinstance(holder.symbol, ast.Var):
                    holder.symbol.is_assigned = True
                return self.context.refuse(expr.position, "TryParse")
        if is_numeric(type_) or type_ in (BOOL, VOID):
            return self.context.error(target.position, f"'{target.name}' not found")
        return None

    @staticmethod
    def _path(expr: ast.Expr) -> str:
        """Spell `Name` or `Console.Error`."""
        if isinstance(expr, ast.Name):
            return expr.name
        if isinstance(expr, ast.Member) and isinstance(expr.object, ast.Name) and expr.object.name == "Console":
            return f"Console.{expr.name}"
        return ""

    def _arguments(self, expr: ast.Call, parameters: tuple[Type, ...], required: int = -1) -> bool:
        """Check the number and the types of the arguments."""
        name = expr.target.name
        if len(expr.arguments) > len(parameters):
            self.context.error(expr.position, f"Too many arguments for '{name}'")
            return False
        if len(expr.arguments) < (len(parameters) if required < 0 else required):
            self.context.error(expr.position, f"Too few arguments for '{name}'")
            return False
        for argument, parameter in zip(expr.arguments, parameters, strict=False):
            self.conversions.convert(argument, parameter, is_argument=True)
        return all(argument.type != ERROR for argument in expr.arguments)

    def _static_call(self, expr: ast.Call, name: str, target: ast.Member) -> Type:
        expr.builtin = name
        if name in builtins.CONSOLE_METHODS:
            return self._console(expr)
        if name.startswith("Console."):
            return self.context.refuse(expr.position, name)
        signature = builtins.STATIC_METHODS.get(name)
        if signature is None:
            if name.split(".")[0] in NAMED_TYPES and target.name == "TryParse":
                return self.context.refuse(expr.position, name)
            return self.context.error(target.position, f"'{target.name}' not found")
        if not self._arguments(expr, signature.parameters):
            return signature.result or ERROR
        if signature.result is not None:
            return signature.result
        type_: Integer | Floating = INT
        for argument in expr.arguments:
            assert is_numeric(argument.type)
            type_ = promote(type_, argument.type)
        if name in builtins.NUMERIC:
            return type_
        return DOUBLE if type_ == DOUBLE else FLOAT

    def _console(self, expr: ast.Call) -> Type:
        if not expr.arguments and expr.builtin.endswith("WriteLine"):
            return VOID
        if len(expr.arguments) != 1:
            amount = "many" if len(expr.arguments) > 1 else "few"
            return self.context.error(expr.position, f"Too {amount} arguments for '{expr.target.name}'")
        argument = expr.arguments[0]
        if argument.type != ERROR and not is_numeric(argument.type) and not isinstance(argument.type, StringType):
            self.formats.check_printable(argument)
        return VOID

    def _array_call(self, expr: ast.Call, target: ast.Member, type_: ArrayType) -> Type:
        name = target.name
        expr.builtin = f"array.{name}"
        storage = type_.kind is Kind.STORAGE
        element = type_.element
        if name == "Fill":
            if self._arguments(expr, (element, LONG, LONG), 1 if storage else 3) and len(expr.arguments) == 2:
                self.context.error(expr.position, "Too few arguments for 'Fill'")
            self.mutability.modify_elements(target)
            return VOID
        if name == "CopyTo":
            destination = ArrayType(element, Kind.WRITE)
            self._arguments(expr, (LONG, destination, LONG, LONG))
            return VOID
        if name == "Sort":
            self._numbers_only(expr, element)
            if self._arguments(expr, (LONG, LONG), 0 if storage else 2) and len(expr.arguments) == 1:
                self.context.error(expr.position, "Too few arguments for 'Sort'")
            self.mutability.modify_elements(target)
            return VOID
        if name == "BinarySearch":
            self._numbers_only(expr, element)
            if self._arguments(expr, (element, LONG, LONG), 1 if storage else 3) and len(expr.arguments) == 2:
                self.context.error(expr.position, "Too few arguments for 'BinarySearch'")
            return INT
        if name == "Contains":
            if not storage:
                return self.context.refuse(expr.position, "Contains on an array reference")
            self._arguments(expr, (element,))
            return BOOL
        return self.context.error(target.position, f"'{name}' not found")

    def _numbers_only(self, expr: ast.Call, element: Type) -> None:
        if not is_numeric(element):
            self.context.error(expr.position, "Method restricted to collections of numbers")

    def _string_call(self, expr: ast.Call, target: ast.Member) -> Type:
        signature = builtins.STRING_METHODS.get(target.name)
        if signature is None:
            return self.context.error(target.position, f"'{target.name}' not found")
        expr.builtin = f"string.{target.name}"
        self._arguments(expr, signature.parameters, signature.minimum)
        assert signature.result is not None
        return signature.result

    def _enum_call(self, expr: ast.Call, target: ast.Member, type_: EnumType) -> Type:
        expr.builtin = f"enum.{target.name}"
        if target.name == "HasFlag":
            self._arguments(expr, (type_,))
            if not type_.decl.flags:
                self.context.error(expr.position, f"Define flags enumeration as 'enum* {type_.decl.name}'")
            return BOOL
        if target.name == "ToInt":
            self._arguments(expr, ())
            value = target.object.value
            if isinstance(value, ast.EnumValue):
                expr.value = value.number
            return INT
        return self.context.error(target.position, f"'{target.name}' not found")
