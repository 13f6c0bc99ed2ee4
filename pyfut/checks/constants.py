"""Constants: their types and values."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.checks.conversions import Conversions
from pyfut.checks.folding import wrap
from pyfut.checks.types import (
    ERROR,
    INT,
    LONG,
    STRING_STORAGE,
    VOID,
    ArrayType,
    ClassType,
    Floating,
    Integer,
    Kind,
    Type,
)
from pyfut.checks.whole import Whole
from pyfut.checks.written_types import WrittenTypes
from pyfut.syntax import ast


class Constants:
    """Determines types and values of constants."""

    def __init__(self, context: Context, whole: Whole, conversions: Conversions, types: WrittenTypes) -> None:
        self.context = context
        self.whole = whole
        self.conversions = conversions
        self.types = types

    def resolve_const(self, const: ast.ConstDecl) -> None:
        """Determine the type and the value of a constant."""
        if const.state == "done":
            return
        if const.state == "busy":
            self.context.error(const.position, f"Circular dependency in value of constant '{const.name}'")
            return
        const.state = "busy"
        context = self.context
        saved = context.owner, context.method, context.scopes, context.uses
        context.uses = set()
        if const.method is None:
            context.owner, context.method, context.scopes = const.owner, None, []
        const.type = self._const_type_of(const)
        if isinstance(const.init, ast.Aggregate):
            self._const_array(const, const.init)
        else:
            self._const_scalar(const)
        context.owner, context.method, context.scopes, context.uses = saved
        const.state = "done"

    def _const_type_of(self, const: ast.ConstDecl) -> Type:
        type_ = self.types.resolve_type(const.written)
        if isinstance(type_, ArrayType) and type_.kind in (Kind.WRITE, Kind.DYNAMIC):
            return self.context.error(const.position, "Invalid constant type")
        if isinstance(type_, ArrayType) and isinstance(const.init, ast.Aggregate):
            count = len(const.init.items)
            if type_.kind is Kind.STORAGE and type_.length != count:
                self.context.error(const.position, f"Declared {type_.length} elements, initialized {count}")
            return ArrayType(type_.element, Kind.STORAGE, count)
        if isinstance(type_, ClassType) or type_ in (VOID, STRING_STORAGE):
            return self.context.error(const.position, "Invalid constant type")
        return type_

    def _const_array(self, const: ast.ConstDecl, init: ast.Aggregate) -> None:
        if not isinstance(const.type, ArrayType):
            if const.type != ERROR:
                self.context.error(const.position, f"Array initializer for scalar constant '{const.name}'")
            return
        element = const.type.element
        values: list[ast.Value] = []
        for item in init.items:
            self.whole.value_of(item)
            self.conversions.convert(item, element)
            if item.value is None and item.type != ERROR:
                self.context.error(item.position, f"Value for constant '{const.name}' is not constant")
            values.append(_stored(item.value, element))
        const.value = values

    def _const_scalar(self, const: ast.ConstDecl) -> None:
        self.whole.value_of(const.init)
        if isinstance(const.type, ArrayType):
            self.context.error(const.position, "Expected an array initializer")
            return
        self.conversions.convert(const.init, const.type)
        if ERROR in (const.init.type, const.type):
            return
        if const.init.value is None:
            self.context.error(const.position, f"Value for constant '{const.name}' is not constant")
        const.value = _stored(const.init.value, const.type)


def _stored(value: ast.Value, type_: Type) -> ast.Value:
    """Return a constant as a variable of the type holds it."""
    if isinstance(value, int) and not isinstance(value, bool):
        if type_ in (INT, LONG) and isinstance(type_, Integer):
            return wrap(value, type_)
        return float(value) if isinstance(type_, Floating) else value
    return value
