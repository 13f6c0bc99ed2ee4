"""Initial values of variables and fields."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.checks.expressions import Expressions
from pyfut.checks.types import ERROR, ArrayType, ClassType, Kind, Type, is_storage
from pyfut.errors import Position
from pyfut.syntax import ast


class Initializers:
    """Checks initial values."""

    def __init__(self, context: Context, expressions: Expressions) -> None:
        self.context = context
        self.expressions = expressions
        self.conversions = expressions.conversions

    def check_init(self, init: ast.Expr, type_: Type, position: Position) -> None:
        """Check the initial value of a variable or a field."""
        if isinstance(init, ast.ObjectInit):
            init.type = type_
            if isinstance(type_, ClassType) and type_.kind is Kind.STORAGE:
                self.expressions.objects.check_fields(init.fields, type_.decl)
            elif type_ != ERROR:
                self.context.error(init.position, "Unexpected object initializer")
            return
        self.expressions.value_of(init)
        if ERROR in (init.type, type_):
            return
        if isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            self._check_array_init(init, type_)
        elif is_storage(type_):
            self.context.error(
                position,
                "Cannot copy object storage"
                if is_storage(init.type)
                else f"Cannot convert '{self.conversions.describe(init)}' to '{type_}'",
            )
        else:
            self.conversions.convert(init, type_)

    def refuse_assignable(self, type_: Type, init: ast.Expr | None) -> Type:
        """Refuse an object storage that may be null; return the type to continue with."""
        if (
            isinstance(type_, ClassType)
            and is_storage(type_)
            and isinstance(init, ast.Literal)
            and init.literal is None
        ):
            return self.context.refuse(init.position, "object storage that may be null")
        return type_

    def _check_array_init(self, init: ast.Expr, type_: ArrayType) -> None:
        if isinstance(init.type, ArrayType):
            self.context.error(init.position, "Cannot copy object storage")
            return
        if isinstance(type_.element, ArrayType):
            self.context.error(
                init.position, f"Cannot convert '{self.conversions.describe(init)}' to '{type_.element}'"
            )
            return
        self.conversions.convert(init, type_.element)
        zero = init.value in (0, False) and not isinstance(init.value, (str, ast.EnumValue))
        if not zero and str(init.type) != "null":
            self.context.error(init.position, "Only null, zero and false supported as an array initializer")
