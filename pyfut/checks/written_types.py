"""Types as written to types."""

from __future__ import annotations

from pyfut.checks import builtins
from pyfut.checks.context import Context
from pyfut.checks.conversions import Conversions
from pyfut.checks.types import (
    ERROR,
    INT,
    NAMED_TYPES,
    STRING_STORAGE,
    ArrayType,
    ClassType,
    EnumType,
    Integer,
    Kind,
    StringType,
    Type,
)
from pyfut.checks.whole import Whole
from pyfut.errors import Position
from pyfut.syntax import ast

MARK_KINDS = {"": Kind.READ, "!": Kind.WRITE, "#": Kind.DYNAMIC}


class WrittenTypes:
    """Finds out what written types mean."""

    def __init__(self, context: Context, whole: Whole, conversions: Conversions) -> None:
        self.context = context
        self.whole = whole
        self.conversions = conversions

    def resolve_type(self, node: ast.TypeNode) -> Type:
        """Return the type written as `node`."""
        type_ = self._base_type(node)
        for bracket in reversed(node.brackets):
            if type_ == ERROR:
                return ERROR
            if bracket.length is None:
                kind, optional = self._marks(bracket.position, bracket.marks)
                type_ = ArrayType(type_, kind, 0, optional)
                continue
            if bracket.marks:
                self.context.error(bracket.position, f"Unexpected '{bracket.marks}' on a non-reference type")
            length = self._array_length(bracket.length)
            type_ = ERROR if length is None else ArrayType(type_, Kind.STORAGE, length)
        return type_

    def _array_length(self, expr: ast.Expr) -> int | None:
        self.whole.constant_value(expr)
        if expr.type == ERROR:
            return None
        if not isinstance(expr.type, Integer):
            self.conversions.convert(expr, INT)
            return None
        if not isinstance(expr.value, int):
            self.context.error(expr.position, "Expected constant value")
            return None
        if expr.value < 0:
            self.context.error(expr.position, "Expected non-negative integer")
            return None
        if expr.value > INT.maximum:
            self.context.error(expr.position, "Integer too big")
            return None
        return expr.value

    def _marks(self, position: Position, marks: str) -> tuple[Kind, bool]:
        optional = marks.endswith("?")
        kind = MARK_KINDS.get(marks.removesuffix("?"))
        if kind is None:
            self.context.error(position, f"Unexpected '{marks}'")
            kind = Kind.READ
        return kind, optional

    def _base_type(self, node: ast.TypeNode) -> Type:
        if node.name == "":
            return ERROR
        if node.name == "string":
            if node.storage:
                if node.marks:
                    return self.context.error(node.position, f"Unexpected '{node.marks[0]}' on a non-reference type")
                return STRING_STORAGE
            if node.marks not in ("", "?"):
                return self.context.error(node.position, f"Unexpected '{node.marks[0]}' on a non-reference type")
            return StringType(optional=node.marks == "?")
        named = NAMED_TYPES.get(node.name)
        decl = self.context.globals.get(node.name)
        if named is not None or isinstance(decl, ast.EnumDecl):
            if node.storage:
                return self.context.error(node.position, f"'{node.name}' is not a class")
            if node.marks == "?":
                return self.context.error(node.position, "Nullable value types not supported")
            if node.marks:
                return self.context.error(node.position, f"Unexpected '{node.marks[0]}' on a non-reference type")
            return named if named is not None else EnumType(decl)  # type: ignore[arg-type]
        if decl is None:
            if node.name in builtins.UNSUPPORTED:
                return self.context.refuse(node.position, node.name)
            noun = "Class" if node.storage else "Type"
            return self.context.error(node.position, f"{noun} '{node.name}' not found")
        assert isinstance(decl, ast.ClassDecl)
        if decl.derives_from(self.context.exception):
            return self.context.refuse(node.position, "variable of an exception class")
        if node.storage:
            if node.marks:
                return self.context.error(node.position, f"Unexpected '{node.marks[0]}' on a non-reference type")
            return ClassType(decl, Kind.STORAGE)
        kind, optional = self._marks(node.position, node.marks)
        return ClassType(decl, kind, optional)
