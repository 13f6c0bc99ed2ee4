"""What may be modified."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.checks.types import ERROR, ArrayType, Kind, is_reference, is_storage
from pyfut.syntax import ast

CANNOT = "Cannot modify this"
READ_ONLY = "Cannot modify collection through a read-only reference"


class Mutability:
    """Tells what may be modified."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def why_read_only(self, expr: ast.Expr) -> str:
        """Say why what is stored at `expr` cannot be modified; empty if it can."""
        match expr:
            case ast.Member(symbol=ast.FieldDecl()):
                return self._why_member(expr)
            case ast.Name():
                return self._why_name(expr)
            case ast.Index():
                inner = expr.object.type
                if is_reference(inner):
                    return READ_ONLY if inner.kind is Kind.READ else ""
                return self.why_read_only(expr.object) if is_storage(inner) else CANNOT
            case ast.Select():
                return self.why_read_only(expr.on_true) or self.why_read_only(expr.on_false)
            case ast.Call():
                return "" if is_storage(expr.type) else CANNOT
        return CANNOT

    def _why_name(self, expr: ast.Name) -> str:
        if isinstance(expr.symbol, ast.Var):
            if not expr.symbol.is_foreach:
                return ""
            return "" if is_storage(expr.type) else "Cannot assign a foreach iteration variable"
        if isinstance(expr.symbol, ast.FieldDecl):
            mutator = self.context.method is not None and self.context.method.mutator
            return "" if mutator else "Cannot modify field in a non-mutating method"
        return CANNOT

    def _why_member(self, expr: ast.Member) -> str:
        holder = expr.object.type
        if is_reference(holder):
            return "Cannot modify field through a read-only reference" if holder.kind is Kind.READ else ""
        return self.why_read_only(expr.object)

    def modify(self, target: ast.Expr) -> None:
        """Check that `target` may be assigned."""
        if target.type == ERROR:
            return
        symbol = target.symbol if isinstance(target, (ast.Name, ast.Member)) else None
        if not isinstance(target, (ast.Name, ast.Member, ast.Index)) or isinstance(symbol, ast.BuiltinMember):
            self.context.error(target.position, CANNOT)
            return
        if isinstance(symbol, ast.Var):
            symbol.is_assigned = True
            if symbol.is_foreach:
                self.context.error(target.position, "Cannot assign a foreach iteration variable")
            return
        reason = self.why_read_only(target)
        if reason:
            self.context.error(target.position, reason)

    def modify_elements(self, target: ast.Member) -> None:
        """Check that the elements of the array before the name of a method may be assigned."""
        type_ = target.object.type
        assert isinstance(type_, ArrayType)
        if type_.kind is Kind.READ:
            self.context.error(target.position, READ_ONLY)
        elif type_.kind is Kind.STORAGE:
            reason = self.why_read_only(target.object)
            if reason:
                self.context.error(target.position, reason)
