"""What names mean."""

from __future__ import annotations

from pyfut.checks import builtins
from pyfut.checks.constants import Constants
from pyfut.checks.context import Context
from pyfut.checks.folding import integer_type
from pyfut.checks.types import (
    BOOL,
    DOUBLE,
    ERROR,
    INT,
    LONG,
    NAMED_TYPES,
    NINT,
    TYPE_NAME,
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


class Names:
    """Checks names and members."""

    def __init__(self, context: Context, whole: Whole, constants: Constants) -> None:
        self.context = context
        self.whole = whole
        self.constants = constants

    def name(self, expr: ast.Name) -> Type:
        """Check a plain name."""
        if expr.name in ("this", "base"):
            return self._this(expr)
        symbol = self.context.lookup(expr.name)
        expr.symbol = symbol
        if symbol is None:
            if expr.name in builtins.UNSUPPORTED:
                return self.context.refuse(expr.position, expr.name)
            return self.context.error(expr.position, f"'{expr.name}' not found")
        if isinstance(symbol, (ast.FieldDecl, ast.MethodDecl)):
            self.check_visible(symbol, expr.position, None)
            static = isinstance(symbol, ast.MethodDecl) and symbol.is_static
            if not static and (self.context.method is None or self.context.method.is_static):
                return self.context.error(
                    expr.position, f"Cannot use instance member '{expr.name}' from static context"
                )
        elif isinstance(symbol, ast.ConstDecl) and symbol.method is None:
            self.check_visible(symbol, expr.position, None)
        return self._symbol_type(expr, symbol)

    def _this(self, expr: ast.Name) -> Type:
        if self.context.method is None:
            return self.context.error(expr.position, f"'{expr.name}' invalid outside methods")
        if self.context.method.is_static:
            message = "'this' not found" if expr.name == "this" else "'base' invalid in static context"
            return self.context.error(expr.position, message)
        assert self.context.owner is not None
        owner = self.context.owner
        if expr.name == "base":
            if owner.base is None:
                return self.context.error(expr.position, "No base class")
            owner = owner.base
        return ClassType(owner, Kind.WRITE if self.context.method.mutator else Kind.READ)

    def _symbol_type(self, expr: ast.Name | ast.Member, symbol: ast.Symbol) -> Type:
        match symbol:
            case ast.Var() | ast.FieldDecl():
                return symbol.type
            case ast.ConstDecl():
                return self._const_type(expr, symbol)
            case ast.EnumValue():
                expr.value = symbol
                return EnumType(symbol.owner)
            case ast.MethodDecl():
                return ERROR
        return TYPE_NAME

    def _const_type(self, expr: ast.Expr, const: ast.ConstDecl) -> Type:
        """Return the type of the literal that replaces a constant, or of a constant array."""
        self.constants.resolve_const(const)
        if const.state == "busy":
            return ERROR
        expr.value = const.value
        if isinstance(const.type, ArrayType):
            self.context.uses.add(const)
            return const.type
        if isinstance(const.value, bool):
            return BOOL
        if isinstance(const.value, int) and isinstance(const.type, Integer):
            return LONG if const.type == LONG else integer_type(const.value)
        if isinstance(const.value, float):
            return const.type if isinstance(const.init.type, Integer) else DOUBLE
        return const.type

    def member(self, expr: ast.Member) -> Type:
        """Check `object.name` that is not called."""
        if isinstance(expr.object, ast.Name) and expr.object.name == "Console" and expr.name in ("Error", "Out"):
            return self.context.refuse(expr.position, f"Console.{expr.name} as a value")
        holder = self.whole.check(expr.object)
        if holder == TYPE_NAME and isinstance(expr.object, (ast.Name, ast.Member)):
            return self._static_member(expr, expr.object.symbol)
        if holder == ERROR:
            if isinstance(expr.object, (ast.Name, ast.Member)) and isinstance(expr.object.symbol, ast.MethodDecl):
                self.context.error(expr.position, "Expected an object")
            return ERROR
        if isinstance(holder, ClassType):
            return self._object_member(expr, holder)
        if expr.name == "Length" and (isinstance(holder, StringType) or self.has_length(expr.object)):
            expr.symbol = ast.BuiltinMember(expr.position, "Length")
            if isinstance(holder, ArrayType) and holder.kind is Kind.STORAGE:
                expr.value = holder.length
                return INT
            if isinstance(expr.object.value, str):
                expr.value = len(expr.object.value) if expr.object.value.isascii() else None
            return NINT
        return self.context.error(expr.position, f"'{expr.name}' not found")

    def has_length(self, expr: ast.Expr) -> bool:
        """Whether `.Length` exists: for array storage and for the arguments of `Main`."""
        if isinstance(expr.type, ArrayType) and expr.type.kind is Kind.STORAGE:
            return True
        symbol = expr.symbol if isinstance(expr, ast.Name) else None
        return isinstance(symbol, ast.Var) and symbol.is_parameter and self.context.method is self.context.program.main

    def _object_member(self, expr: ast.Member, holder: ClassType) -> Type:
        symbol = holder.decl.find(expr.name)
        if symbol is None:
            return self.context.error(expr.position, f"'{expr.name}' not found")
        expr.symbol = symbol
        self.check_visible(symbol, expr.position, None if self._is_this(expr.object) else holder.decl)
        if isinstance(symbol, ast.ConstDecl) or (isinstance(symbol, ast.MethodDecl) and symbol.is_static):
            return self.context.error(expr.position, f"'{expr.name}' is static")
        return self._symbol_type(expr, symbol)

    @staticmethod
    def _is_this(expr: ast.Expr) -> bool:
        return isinstance(expr, ast.Name) and expr.name in ("this", "base")

    def _static_member(self, expr: ast.Member, holder: ast.Symbol | None) -> Type:
        if isinstance(holder, ast.EnumDecl):
            value = next((v for v in holder.values if v.name == expr.name), None)
            if value is None:
                return self.context.error(expr.position, f"'{expr.name}' not found")
            expr.symbol = value
            return self._symbol_type(expr, value)
        if isinstance(holder, ast.ClassDecl):
            member = holder.find(expr.name)
            if member is None:
                return self.context.error(expr.position, f"'{expr.name}' not found")
            expr.symbol = member
            self.check_visible(member, expr.position, holder)
            if isinstance(member, ast.FieldDecl) or (isinstance(member, ast.MethodDecl) and not member.is_static):
                return self.context.error(expr.position, f"Cannot use instance member '{expr.name}' without an object")
            return self._symbol_type(expr, member)
        assert isinstance(holder, ast.BuiltinName)
        return self._builtin_member(expr, holder.name)

    def _builtin_member(self, expr: ast.Member, holder: str) -> Type:
        full_name = f"{holder}.{expr.name}"
        named = NAMED_TYPES.get(holder)
        if isinstance(named, Integer) and expr.name in ("MinValue", "MaxValue"):
            expr.symbol = ast.BuiltinMember(expr.position, full_name)
            expr.value = named.minimum if expr.name == "MinValue" else named.maximum
            return integer_type(expr.value) if named != NINT else NINT
        if full_name in builtins.CONSTANTS:
            expr.symbol = ast.BuiltinMember(expr.position, full_name)
            type_, expr.value = builtins.CONSTANTS[full_name]
            return type_
        return self.context.error(expr.position, f"'{expr.name}' not found")

    def check_visible(
        self, member: ast.FieldDecl | ast.ConstDecl | ast.MethodDecl, position: Position, holder: ast.ClassDecl | None
    ) -> None:
        """Check that a member may be used here; `holder` is the class through which it is named, None for `this`."""
        owners = (self.context.owner, holder or self.context.owner)
        if member.visibility is ast.Visibility.PRIVATE and owners != (member.owner, member.owner):
            self.context.error(position, f"Cannot access private member '{member.name}'")
        elif member.visibility is ast.Visibility.PROTECTED:
            derived = self.context.owner is not None and (holder or self.context.owner).derives_from(self.context.owner)
            if not derived or (self.context.owner is not None and not self.context.owner.derives_from(member.owner)):
                self.context.error(position, f"Cannot access protected member '{member.name}'")
