"""Compile-time values and constants."""

from __future__ import annotations

import math
import re

from pyfut.c.names import Names
from pyfut.c.needs import Needs
from pyfut.c.precedence import POSTFIX, UNARY
from pyfut.c.types import SCALARS, Types
from pyfut.checks.types import FLOAT, INT, LONG, ArrayType, EnumType, Integer, Type
from pyfut.naming import escape, upper_case
from pyfut.syntax import ast


class Values:
    """Writes values that are known at compile time."""

    def __init__(self, needs: Needs, names: Names, types: Types) -> None:
        self.needs = needs
        self.names = names
        self.types = types

    def const(self, value: ast.Value, type_: Type) -> str:
        """Return a compile-time value of a constant of the given type."""
        match value:
            case ast.EnumValue():
                return f"{self.names.type(value.owner)}_{upper_case(value.name)}"
            case list():
                assert isinstance(type_, ArrayType)
                return self._items(value, type_.element)
            case bool():
                self.needs.include("stdbool.h")
                return "true" if value else "false"
            case str():
                return escape(value)
            case float():
                return self._float(value)
        assert isinstance(value, int)
        if isinstance(type_, EnumType):
            return f"({self.names.type(type_.decl)}) {value}"
        if value in (INT.minimum, LONG.minimum):
            return f"(-{-(value + 1)} - 1)"
        return str(value)

    def _items(self, values: list[ast.Value], element: Type) -> str:
        items = [self.const(value, element) for value in values]
        if element == FLOAT:
            items = [f"{item}f" if re.search(r"\d[.e]", item) else item for item in items]
        return "{ " + ", ".join(items or ["0"]) + " }"

    def _float(self, value: float) -> str:
        if math.isfinite(value):
            return repr(value)
        self.needs.include("math.h")
        return "NAN" if math.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"

    def const_array(self, const: ast.ConstDecl) -> str:
        """Return the definition of a constant array."""
        assert isinstance(const.type, ArrayType)
        type_ = const.type
        length = max(type_.length, 1)
        name = f"{self.names.const(const)}[{length}]"
        if type_.element in SCALARS:  # `const` is first, as in fut's output
            declared = f"const {self.types.declare(type_.element, name, True, False)}"
        else:
            declared = self.types.declare(type_.element, name, True, True)
        return f"static {declared} = {self.const(const.value, type_)};"

    def define(self, const: ast.ConstDecl) -> str:
        """Return the definition of a constant that is no array."""
        value = self.const(const.value, const.type)
        if isinstance(const.init.type, Integer):
            value = value.removesuffix(".0")
        if " " in value and not value.startswith('"'):
            value = f"({value})"
        return f"#define {self.names.const(const)} {value}"

    def value(self, value: ast.Value, type_: Type) -> tuple[str, int]:
        """Return a compile-time value and how tightly it binds."""
        text = self.const(value, type_)
        return text, UNARY if text.startswith("-") else POSTFIX
