"""`return`, which passes on what the caller has to release and releases everything else."""

from __future__ import annotations

from pyfut.c.assignments import Assignments
from pyfut.c.expressions import Expressions
from pyfut.c.kit import Kit
from pyfut.checks.types import STRING_STORAGE, Type, is_dynamic
from pyfut.syntax import ast


class Returns:
    """Writes `return`."""

    def __init__(self, kit: Kit, expressions: Expressions, assignments: Assignments) -> None:
        self.output = kit.output
        self.place = kit.place
        self.types = kit.types
        self.cleanups = kit.cleanups
        self.expressions = expressions
        self.conversions = expressions.conversions
        self.ownership = expressions.ownership
        self.assignments = assignments

    def write(self, stmt: ast.Return) -> None:
        """Write `return`."""
        method, expr = self.place.method, stmt.expr
        assert method is not None
        if expr is None:
            self.cleanups.leave()
            result = " 0" if method is self.place.program.main else " true" if method.throws else ""
            self.output.line(f"return{result};")
        elif owns_variable(expr) and is_owning(method.type):
            name = self.expressions.expr(expr)
            release = "free" if expr.type == STRING_STORAGE else "FuShared_Release"
            self.cleanups.leave(kept=f"{release}({name});")
            self.output.line(f"return {self.conversions.cast_up(name, expr.type, method.type)};")
        else:
            self._write_value(expr, method.type)

    def _write_value(self, expr: ast.Expr, type_: Type) -> None:
        if isinstance(expr, ast.New) and expr.fields:
            text = self.conversions.cast_up(self.assignments.initialized(expr), expr.type, type_)
        elif is_dynamic(type_):
            text = self.ownership.owned(expr, type_)
        elif type_ == STRING_STORAGE:
            text = self.ownership.owned_string(expr)
        else:
            text = self.conversions.coerce(expr, type_)
        if self.cleanups.any() and expr.value is None:
            self.output.line(f"{self.types.declaration(type_, 'returnValue')} = {text};")
            text = "returnValue"
        self.cleanups.leave()
        self.output.line(f"return {text};")


def is_owning(type_: Type) -> bool:
    """Whether a variable of the type has to release what it holds."""
    return is_dynamic(type_) or type_ == STRING_STORAGE


def owns_variable(expr: ast.Expr) -> bool:
    """Whether an expression is a local variable that owns something, whose share can be passed on."""
    return isinstance(expr, ast.Name) and isinstance(expr.symbol, ast.Var) and is_owning(expr.type)
