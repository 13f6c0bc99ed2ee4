"""Calls of the standard library: `Math`, `BitConverter`, `Console`, and the methods of arrays, strings and enums."""

from __future__ import annotations

import re

from pyfut import builtins
from pyfut.ast import BuiltinName, Call, EnumDecl, Expr, Interpolation, Member, Name, Var
from pyfut.expressions import ExpressionChecker
from pyfut.types import (
    BOOL,
    DOUBLE,
    ERROR,
    FLOAT,
    INT,
    LONG,
    NAMED_TYPES,
    PRINTABLE,
    STRING,
    VOID,
    ArrayType,
    ClassType,
    EnumType,
    Floating,
    Integer,
    Kind,
    StringType,
    Type,
    is_numeric,
    promote,
)


class LibraryChecker(ExpressionChecker):
    """Checks calls of methods that no class of the program defines."""

    def library_call(self, expr: Call, target: Member) -> Type | None:
        """Check a call of a method of the standard library; None if it is not one."""
        holder = target.object
        if isinstance(holder, Name) and holder.name in ("this", "base"):
            return None
        path = self._path(holder)
        symbol = self.lookup(path) if "." not in path and path else None
        if path.startswith("Console") or isinstance(symbol, BuiltinName):
            return self._static_call(expr, f"{path}.{target.name}", target)
        if isinstance(symbol, EnumDecl) and target.name == "FromInt":
            self.check(holder)
            expr.builtin = "enum.FromInt"
            self._arguments(expr, (INT,))
            return EnumType(symbol)
        if symbol is None and path in builtins.UNSUPPORTED:
            return self._refuse(expr, f"{path}.{target.name}")
        type_ = self.check(holder)
        if isinstance(type_, ArrayType):
            return self._array_call(expr, target, type_)
        if isinstance(type_, StringType):
            return self._string_call(expr, target)
        if isinstance(type_, EnumType):
            return self._enum_call(expr, target, type_)
        if is_numeric(type_):
            if target.name == "TryParse":
                if isinstance(holder, Name) and isinstance(holder.symbol, Var):
                    holder.symbol.is_assigned = True
                return self._refuse(expr, "TryParse")
            return self.error(target.position, f"'{target.name}' not found")
        if type_ in (BOOL, VOID):
            return self.error(target.position, f"'{target.name}' not found")
        return None

    @staticmethod
    def _path(expr: Expr) -> str:
        """Spell `Name` or `Console.Error`."""
        if isinstance(expr, Name):
            return expr.name
        if isinstance(expr, Member) and isinstance(expr.object, Name) and expr.object.name == "Console":
            return f"Console.{expr.name}"
        return ""

    def _refuse(self, expr: Call, construct: str) -> Type:
        self.diagnostics.unsupported(expr.position, construct)
        return ERROR

    def _arguments(self, expr: Call, parameters: tuple[Type, ...], required: int = -1) -> bool:
        """Check the number and the types of the arguments."""
        name = expr.target.name
        if len(expr.arguments) > len(parameters):
            self.error(expr.position, f"Too many arguments for '{name}'")
            return False
        if len(expr.arguments) < (len(parameters) if required < 0 else required):
            self.error(expr.position, f"Too few arguments for '{name}'")
            return False
        for argument, parameter in zip(expr.arguments, parameters, strict=False):
            self.convert(argument, parameter, is_argument=True)
        return all(argument.type != ERROR for argument in expr.arguments)

    def _static_call(self, expr: Call, name: str, target: Member) -> Type:
        expr.builtin = name
        if name in builtins.CONSOLE_METHODS:
            return self._console(expr)
        if name.startswith("Console."):
            return self._refuse(expr, name)
        signature = builtins.STATIC_METHODS.get(name)
        if signature is None:
            if name.split(".")[0] in NAMED_TYPES and target.name == "TryParse":
                return self._refuse(expr, name)
            return self.error(target.position, f"'{target.name}' not found")
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

    def _console(self, expr: Call) -> Type:
        if not expr.arguments and expr.builtin.endswith("WriteLine"):
            return VOID
        if len(expr.arguments) != 1:
            amount = "many" if len(expr.arguments) > 1 else "few"
            return self.error(expr.position, f"Too {amount} arguments for '{expr.target.name}'")
        argument = expr.arguments[0]
        if argument.type != ERROR and not is_numeric(argument.type) and not isinstance(argument.type, StringType):
            self._check_printable(argument)
        return VOID

    def _check_printable(self, expr: Expr) -> None:
        """Refuse an object that would be converted to a string by its `ToString`."""
        if isinstance(expr.type, ClassType) and expr.type.decl.find("ToString") is not None:
            self.diagnostics.unsupported(expr.position, "string conversion of an object")
        else:
            self.convert(expr, PRINTABLE)

    def _array_call(self, expr: Call, target: Member, type_: ArrayType) -> Type:
        name = target.name
        expr.builtin = f"array.{name}"
        storage = type_.kind is Kind.STORAGE
        element = type_.element
        if name == "Fill":
            if self._arguments(expr, (element, LONG, LONG), 1 if storage else 3) and len(expr.arguments) == 2:
                self.error(expr.position, "Too few arguments for 'Fill'")
            self._modify_elements(target)
            return VOID
        if name == "CopyTo":
            destination = ArrayType(element, Kind.WRITE)
            self._arguments(expr, (LONG, destination, LONG, LONG))
            return VOID
        if name == "Sort":
            self._numbers_only(expr, element)
            if self._arguments(expr, (LONG, LONG), 0 if storage else 2) and len(expr.arguments) == 1:
                self.error(expr.position, "Too few arguments for 'Sort'")
            self._modify_elements(target)
            return VOID
        if name == "BinarySearch":
            self._numbers_only(expr, element)
            if self._arguments(expr, (element, LONG, LONG), 1 if storage else 3) and len(expr.arguments) == 2:
                self.error(expr.position, "Too few arguments for 'BinarySearch'")
            return INT
        if name == "Contains":
            if not storage:
                return self._refuse(expr, "Contains on an array reference")
            self._arguments(expr, (element,))
            return BOOL
        return self.error(target.position, f"'{name}' not found")

    def _modify_elements(self, target: Member) -> None:
        type_ = target.object.type
        assert isinstance(type_, ArrayType)
        if type_.kind is Kind.READ:
            self.error(target.position, "Cannot modify collection through a read-only reference")
        elif type_.kind is Kind.STORAGE:
            reason = self.why_read_only(target.object)
            if reason:
                self.error(target.position, reason)

    def _numbers_only(self, expr: Call, element: Type) -> None:
        if not is_numeric(element):
            self.error(expr.position, "Method restricted to collections of numbers")

    def _string_call(self, expr: Call, target: Member) -> Type:
        signature = builtins.STRING_METHODS.get(target.name)
        if signature is None:
            return self.error(target.position, f"'{target.name}' not found")
        expr.builtin = f"string.{target.name}"
        self._arguments(expr, signature.parameters, signature.minimum)
        assert signature.result is not None
        return signature.result

    def _enum_call(self, expr: Call, target: Member, type_: EnumType) -> Type:
        expr.builtin = f"enum.{target.name}"
        if target.name == "HasFlag":
            self._arguments(expr, (type_,))
            if not type_.decl.flags:
                self.error(expr.position, f"Define flags enumeration as 'enum* {type_.decl.name}'")
            return BOOL
        if target.name == "ToInt":
            self._arguments(expr, ())
            value = target.object.value
            if value is not None and not isinstance(value, (int, float, str, list)):
                expr.value = value.number
            return INT
        return self.error(target.position, f"'{target.name}' not found")

    def check_format(self, part: Interpolation) -> None:
        """Check an expression inside an interpolated string."""
        type_ = part.expr.type
        if type_ == ERROR:
            return
        if isinstance(type_, Integer):
            valid = re.fullmatch(r"[DdXx][0-9]*|", part.format)
            if part.format[:1] in ("U", "u") and part.format:
                self.diagnostics.unsupported(part.position, f"format '{part.format}'")
                return
        elif isinstance(type_, Floating):
            valid = re.fullmatch(r"[FfEe][0-9]*|", part.format)
        elif type_ == STRING or isinstance(type_, StringType):
            valid = re.fullmatch(r"", part.format)
        else:
            self._check_printable(part.expr)
            return
        if valid is None:
            self.error(part.position, "Invalid format")
        elif isinstance(type_, Integer) and part.width and part.format[1:]:
            self.error(part.position, "Cannot format an integer with both width and precision")
