"""What may be assigned to what."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.checks.mutability import Mutability
from pyfut.checks.types import (
    ERROR,
    INT,
    LONG,
    NINT,
    NULL,
    STRING_STORAGE,
    ArrayType,
    ClassType,
    Floating,
    Integer,
    Kind,
    StringType,
    Type,
    is_numeric,
    is_reference,
    is_storage,
    with_kind,
)
from pyfut.syntax import ast

FITTING = {
    Kind.READ: (Kind.READ,),
    Kind.WRITE: (Kind.READ, Kind.WRITE),
    Kind.DYNAMIC: (Kind.READ, Kind.WRITE, Kind.DYNAMIC),
    Kind.STORAGE: (Kind.READ, Kind.WRITE, Kind.STORAGE),
}
"""The kinds of references that each kind may be assigned to."""


class Conversions:
    """Checks conversions."""

    def __init__(self, context: Context, mutability: Mutability) -> None:
        self.context = context
        self.mutability = mutability

    @staticmethod
    def describe(expr: ast.Expr) -> str:
        """Name an expression in a message: its value if it is an integer constant, otherwise its type."""
        if isinstance(expr.value, int) and not isinstance(expr.value, bool) and is_numeric(expr.type):
            return str(expr.value)
        if isinstance(expr.value, bool):
            return "bool"
        return str(expr.type)

    def effective(self, expr: ast.Expr) -> Type:
        """Return the type, turning a storage into the kind of reference that may be taken to it."""
        if is_storage(expr.type):
            return with_kind(expr.type, Kind.READ if self.mutability.why_read_only(expr) else Kind.WRITE)
        return expr.type

    def convert(self, expr: ast.Expr, target: Type, is_argument: bool = False) -> None:
        """Check that `expr` may be assigned to `target`; an argument may be a new string."""
        if isinstance(expr, ast.Select):
            self.convert(expr.on_true, target, is_argument)
            self.convert(expr.on_false, target, is_argument)
            return
        if ERROR in (expr.type, target):
            return
        where = expr.position
        if is_reference(target) and target.kind is not Kind.DYNAMIC and isinstance(expr, ast.New):
            noun = "array" if isinstance(target, ArrayType) else "object"
            owner = with_kind(target, Kind.DYNAMIC)
            self.context.error(where, f"Dynamically allocated {noun} must be assigned to a '{owner}' reference")
        elif isinstance(target, StringType) and not target.storage and expr.type == STRING_STORAGE:
            if not is_argument and not isinstance(expr, (ast.Name, ast.Member, ast.Index)):
                self.context.error(where, "New string must be assigned to 'string()'")
        elif is_reference(target) and is_storage(expr.type) and isinstance(expr, ast.Call):
            self.context.error(where, f"Returned object must be assigned to '{expr.type}'")
        elif not self.convertible(expr, self.effective(expr), target):
            self.context.error(where, f"Cannot convert '{self.describe(expr)}' to '{target}'")

    def convertible(self, expr: ast.Expr, source: Type, target: Type) -> bool:
        """Whether an expression of type `source` may be assigned to `target`."""
        match source, target:
            case _, _ if source == NULL:
                return target.nullable
            case Integer(), Integer():
                value = expr.value
                wide = target in (INT, LONG, NINT)
                return wide or not isinstance(value, int) or target.minimum <= value <= target.maximum
            case (Integer() | Floating(), Floating()) | (StringType(), StringType()):
                return True
            case ClassType(), ClassType():
                return source.decl.derives_from(target.decl) and self.kind_fits(source.kind, target.kind)
            case ArrayType(), ArrayType():
                same = self._same_element(source.element, target.element)
                return same and self.kind_fits(source.kind, target.kind)
        return source == target

    @staticmethod
    def kind_fits(source: Kind, target: Kind) -> bool:
        """Whether one kind of reference may be assigned to another one."""
        return target in FITTING[source]

    @staticmethod
    def weaker(first: Kind, second: Kind) -> Kind:
        """Return the kind of reference that both can be converted to."""
        return min(first, second, key=[Kind.READ, Kind.WRITE, Kind.DYNAMIC].index)

    def _same_element(self, source: Type, target: Type) -> bool:
        match source, target:
            case ArrayType(), ArrayType() if source.kind == target.kind:
                return source.length == target.length and self._same_element(source.element, target.element)
            case ClassType(), ClassType():
                return source.decl is target.decl and self.kind_fits(source.kind, target.kind)
            case StringType(), StringType():
                return source.storage == target.storage
        return source == target

    def cannot(self, expr: ast.Expr, target: Type) -> Type:
        """Record that an expression cannot be converted; return the type of an erroneous expression."""
        if expr.type == ERROR:
            return ERROR
        return self.context.error(expr.position, f"Cannot convert '{self.describe(expr)}' to '{target}'")

    @staticmethod
    def spell(expr: ast.Expr) -> str:
        """Name an expression in a message: as it is written if that is a name, otherwise its type."""
        return expr.name if isinstance(expr, (ast.Name, ast.Member)) else str(expr.type)
