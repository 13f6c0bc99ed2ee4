"""Local variables and constants."""

from __future__ import annotations

from pyfut.c.assignments import Assignments
from pyfut.c.expressions import Expressions
from pyfut.c.kit import Kit
from pyfut.c.lifetimes import Lifetimes
from pyfut.checks.types import (
    BOOL,
    STRING_STORAGE,
    ArrayType,
    ClassType,
    EnumType,
    Floating,
    Integer,
    Kind,
    Type,
    is_dynamic,
    is_storage,
)
from pyfut.syntax import ast
from pyfut.syntax.walk import without_fields


class Variables:
    """Writes definitions of variables, and has released what they hold."""

    def __init__(self, kit: Kit, expressions: Expressions, lifetimes: Lifetimes, assignments: Assignments) -> None:
        self.output = kit.output
        self.place = kit.place
        self.needs = kit.needs
        self.names = kit.names
        self.types = kit.types
        self.values = kit.values
        self.cleanups = kit.cleanups
        self.conversions = expressions.conversions
        self.ownership = expressions.ownership
        self.lifetimes = lifetimes
        self.assignments = assignments

    def define(self, var: ast.Var) -> None:
        """Write the definition of a variable."""
        name, type_, init = self.names.var(var), var.type, var.init
        declaration = self.types.declaration(type_, name)
        if is_storage(type_):
            self._define_storage(var, declaration)
        elif is_dynamic(type_):
            value = self.needs.null() if init is None else self.ownership.owned(without_fields(init), type_)
            self.output.line(f"{declaration} = {value};")
            self.cleanups.add(f"{self.needs.helper('FuShared_Release')}({name});")
            self.assignments.field_values(f"{name}->", init)
        elif type_ == STRING_STORAGE:
            self.needs.include("stdlib.h")
            value = self.needs.null() if init is None else self.ownership.owned_string(init)
            self.output.line(f"{declaration} = {value};")
            self.cleanups.add(f"free({name});")
        elif init is None:
            self.output.line(f"{declaration};")
        else:
            self.output.line(f"{declaration} = {self.conversions.coerce(init, type_)};")
        self.mark_unread(var)

    def mark_unread(self, var: ast.Var) -> None:
        """Tell the C compiler of a variable whose value is not used."""
        if not self.place.reads.has(var):
            self.output.line(f"(void) {self.names.var(var)};")

    def _define_storage(self, var: ast.Var, declaration: str) -> None:
        name, type_ = self.names.var(var), var.type
        zeroed = isinstance(type_, ArrayType) and (var.init is not None or self.lifetimes.destructs(type_))
        self.output.line(f"{declaration} = {self._zeros(type_)};" if zeroed else f"{declaration};")
        self.lifetimes.construct(name, type_)
        self.assignments.field_values(f"{name}.", var.init)
        self.cleanups.add(*self.lifetimes.destruction(name, type_))

    def _zeros(self, type_: Type) -> str:
        while isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            type_ = type_.element
        if type_ == BOOL:
            self.needs.include("stdbool.h")
            return "{ false }"
        is_number = isinstance(type_, (Integer, Floating, EnumType, ClassType)) and not is_dynamic(type_)
        return "{ 0 }" if is_number else f"{{ {self.needs.null()} }}"

    def define_const(self, const: ast.ConstDecl) -> None:
        """Write a constant array; other constants are written where they are used."""
        assert self.place.method is not None
        if isinstance(const.type, ArrayType) and const in self.place.method.uses:
            self.output.line(self.values.const_array(const))
