"""New objects, arrays and strings, and compile-time values."""

from __future__ import annotations

import math
import re

from pyfut.checks.types import (
    BOOL,
    BYTE,
    ArrayType,
    ClassType,
    EnumType,
    Floating,
    Integer,
    StringType,
    Type,
    is_storage,
)
from pyfut.naming import escape
from pyfut.python.module import Module
from pyfut.python.names import Names
from pyfut.syntax import ast

TYPE_CODES = {
    "sbyte": "b",
    "short": "h",
    "ushort": "H",
    "int": "i",
    "uint": "i",
    "nint": "q",
    "long": "q",
    "float": "f",
    "double": "d",
}


class Values:
    """Writes values that no expression of the program spells."""

    def __init__(self, module: Module, names: Names) -> None:
        self.module = module
        self.names = names

    def storage(self, type_: Type) -> str:
        """Return an expression that creates a new object, array or string."""
        match type_:
            case ArrayType():
                return self.new_array(type_.element, str(type_.length))
            case ClassType():
                return f"{self.names.type(type_.decl)}()"
        return '""'

    def new_array(self, element: Type, length: str) -> str:
        """Return an expression that creates an array."""
        if element == BYTE:
            return f"bytearray({length})"
        if is_storage(element):
            return f"[{self.storage(element)} for _ in {self.module.builtin('range')}({length})]"
        return self.filled(element, self._default(element), length)

    def filled(self, element: Type, value: str, length: str) -> str:
        """Return an expression that creates an array of equal elements."""
        times = length if re.fullmatch(r"\w+", length) else f"({length})"
        if element == BYTE:
            return f"bytearray({length})" if value == "0" else f"bytearray([{value}]) * {times}"
        if isinstance(element, (Integer, Floating)):
            return f"{self.numbers(element, f'[{value}]')} * {times}"
        return f"[{value}] * {times}"

    def numbers(self, element: Integer | Floating, items: str) -> str:
        """Return an `array.array`."""
        return f'{self.module.imported("array")}.array("{TYPE_CODES[element.name]}", {items})'

    def _default(self, type_: Type) -> str:
        match type_:
            case Integer() | Floating():
                return "0"
            case StringType():
                return "None" if type_.nullable else '""'
            case EnumType():
                return self.names.enum_value(type_.decl.values[0])
        return "False" if type_ == BOOL else "None"

    def const(self, value: ast.Value, type_: Type) -> str:
        """Return a compile-time value."""
        match value:
            case ast.EnumValue():
                return self.names.enum_value(value)
            case list():
                assert isinstance(type_, ArrayType)
                return self._const_array(value, type_.element)
            case str():
                return escape(value)
            case int() if isinstance(type_, EnumType):
                return f"{self.names.type(type_.decl)}({value})"
            case float() if not math.isfinite(value):
                module = self.module.imported("math")
                return f"{module}.nan" if math.isnan(value) else f"{'-' if value < 0 else ''}{module}.inf"
        return repr(value)

    def _const_array(self, items: list[ast.Value], element: Type) -> str:
        text = ", ".join(self.const(item, element) for item in items)
        if element == BYTE:
            return f"bytes([{text}])"
        if isinstance(element, (Integer, Floating)):
            return self.numbers(element, f"[{text}]")
        return f"[{text}]"
