"""The context of an expression, and which conversions and modifications are allowed."""

from __future__ import annotations

from pyfut.ast import (
    BuiltinMember,
    Call,
    ClassDecl,
    ConstDecl,
    EnumDecl,
    Expr,
    FieldDecl,
    Index,
    Interpolation,
    Member,
    MethodDecl,
    Name,
    New,
    Program,
    Select,
    Symbol,
    TypeNode,
    Value,
    Var,
)
from pyfut.errors import Diagnostics, Position
from pyfut.types import (
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


class ConversionChecker:
    """Knows the class and the method being checked."""

    def __init__(self, program: Program, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics
        self.program = program
        self.globals: dict[str, ClassDecl | EnumDecl] = {}
        self.owner: ClassDecl | None = None
        self.method: MethodDecl | None = None
        self.scopes: list[dict[str, Var | ConstDecl]] = []
        self.uses: set[Symbol] = set()
        self.conditional = ""
        """The operator whose right side is being checked: `++` and `--` are not allowed there."""

    def error(self, position: Position, message: str) -> Type:
        """Record an error and return the type of an erroneous expression."""
        self.diagnostics.error(position, message)
        return ERROR

    # --- to be provided by the semantic analysis of declarations ---

    def resolve_type(self, node: TypeNode) -> Type:
        """Return the type written as `node`."""
        raise NotImplementedError

    def resolve_const(self, const: ConstDecl) -> None:
        """Determine the type and the value of a constant."""
        raise NotImplementedError

    def library_call(self, expr: Call, target: Member) -> Type | None:
        """Check a call of a method of the standard library; None if it is not one."""
        raise NotImplementedError

    def check_format(self, part: Interpolation) -> None:
        """Check an expression inside an interpolated string."""
        raise NotImplementedError

    # --- conversions ---

    @staticmethod
    def describe(expr: Expr) -> str:
        """Name an expression in a message: its value if it is an integer constant, otherwise its type."""
        if isinstance(expr.value, int) and not isinstance(expr.value, bool) and is_numeric(expr.type):
            return str(expr.value)
        if isinstance(expr.value, bool):
            return "bool"
        return str(expr.type)

    def effective(self, expr: Expr) -> Type:
        """Return the type, turning a storage into the kind of reference that may be taken to it."""
        if is_storage(expr.type):
            return with_kind(expr.type, Kind.READ if self.why_read_only(expr) else Kind.WRITE)
        return expr.type

    def convert(self, expr: Expr, target: Type, is_argument: bool = False) -> None:
        """Check that `expr` may be assigned to `target`; an argument may be a new string."""
        if isinstance(expr, Select):
            self.convert(expr.on_true, target, is_argument)
            self.convert(expr.on_false, target, is_argument)
            return
        if ERROR in (expr.type, target):
            return
        where = expr.position
        if is_reference(target) and target.kind is not Kind.DYNAMIC and self._leaks(expr):
            noun = "array" if isinstance(target, ArrayType) else "object"
            owner = with_kind(target, Kind.DYNAMIC)
            self.error(where, f"Dynamically allocated {noun} must be assigned to a '{owner}' reference")
        elif isinstance(target, StringType) and not target.storage and expr.type == STRING_STORAGE:
            if not is_argument and not isinstance(expr, (Name, Member, Index)):
                self.error(where, "New string must be assigned to 'string()'")
        elif is_reference(target) and is_storage(expr.type) and isinstance(expr, Call):
            self.error(where, f"Returned object must be assigned to '{expr.type}'")
        elif not self._convertible(expr, self.effective(expr), target):
            self.error(where, f"Cannot convert '{self.describe(expr)}' to '{target}'")

    @staticmethod
    def _leaks(expr: Expr) -> bool:
        return isinstance(expr, New)

    def _convertible(self, expr: Expr, source: Type, target: Type) -> bool:
        if source == NULL:
            return target.nullable
        if isinstance(target, Integer):
            if not isinstance(source, Integer):
                return False
            checked = target not in (INT, LONG, NINT) and isinstance(expr.value, int)
            return not checked or target.minimum <= self._int(expr.value) <= target.maximum
        if isinstance(target, Floating):
            return is_numeric(source)
        if isinstance(target, StringType):
            return isinstance(source, StringType)
        if isinstance(target, ClassType):
            return (
                isinstance(source, ClassType)
                and source.decl.derives_from(target.decl)
                and self._kind_fits(source.kind, target.kind)
            )
        if isinstance(target, ArrayType):
            return (
                isinstance(source, ArrayType)
                and self._same_element(source.element, target.element)
                and self._kind_fits(source.kind, target.kind)
            )
        return source == target

    @staticmethod
    def _int(value: Value) -> int:
        assert isinstance(value, int)
        return value

    @staticmethod
    def _kind_fits(source: Kind, target: Kind) -> bool:
        allowed = {
            Kind.READ: (Kind.READ,),
            Kind.WRITE: (Kind.READ, Kind.WRITE),
            Kind.DYNAMIC: (Kind.READ, Kind.WRITE, Kind.DYNAMIC),
            Kind.STORAGE: (Kind.READ, Kind.WRITE, Kind.STORAGE),
        }
        return target in allowed[source]

    @staticmethod
    def _weaker(first: Kind, second: Kind) -> Kind:
        """Return the kind of reference that both can be converted to."""
        return min(first, second, key=[Kind.READ, Kind.WRITE, Kind.DYNAMIC].index)

    def _same_element(self, source: Type, target: Type) -> bool:
        if isinstance(source, ArrayType) and isinstance(target, ArrayType) and source.kind == target.kind:
            return source.length == target.length and self._same_element(source.element, target.element)
        if isinstance(source, ClassType) and isinstance(target, ClassType):
            return source.decl is target.decl and self._kind_fits(source.kind, target.kind)
        if isinstance(source, StringType) and isinstance(target, StringType):
            return source.storage == target.storage
        return source == target

    # --- mutability ---

    def why_read_only(self, expr: Expr) -> str:
        """Say why what is stored at `expr` cannot be modified; empty if it can."""
        if isinstance(expr, Member) and isinstance(expr.symbol, FieldDecl):
            return self._why_member(expr)
        if isinstance(expr, Name):
            return self._why_name(expr)
        if isinstance(expr, Index):
            inner = expr.object.type
            if is_reference(inner):
                read_only = inner.kind is Kind.READ
                return "Cannot modify collection through a read-only reference" if read_only else ""
            return self.why_read_only(expr.object) if is_storage(inner) else "Cannot modify this"
        if isinstance(expr, Select):
            return self.why_read_only(expr.on_true) or self.why_read_only(expr.on_false)
        if isinstance(expr, Call) and is_storage(expr.type):
            return ""
        return "Cannot modify this"

    def _why_name(self, expr: Name) -> str:
        if isinstance(expr.symbol, Var):
            if not expr.symbol.is_foreach:
                return ""
            return "" if is_storage(expr.type) else "Cannot assign a foreach iteration variable"
        if isinstance(expr.symbol, FieldDecl):
            mutator = self.method is not None and self.method.mutator
            return "" if mutator else "Cannot modify field in a non-mutating method"
        return "Cannot modify this"

    def _why_member(self, expr: Member) -> str:
        holder = expr.object.type
        if is_reference(holder):
            return "Cannot modify field through a read-only reference" if holder.kind is Kind.READ else ""
        return self.why_read_only(expr.object)

    def modify(self, target: Expr) -> None:
        """Check that `target` may be assigned."""
        if target.type == ERROR:
            return
        symbol = target.symbol if isinstance(target, (Name, Member)) else None
        if not isinstance(target, (Name, Member, Index)) or isinstance(symbol, BuiltinMember):
            self.error(target.position, "Cannot modify this")
            return
        if isinstance(symbol, Var):
            symbol.is_assigned = True
            if symbol.is_foreach:
                self.error(target.position, "Cannot assign a foreach iteration variable")
            return
        reason = self.why_read_only(target)
        if reason:
            self.error(target.position, reason)
