"""Values that the receiver has to release."""

from __future__ import annotations

from pyfut.c.conversions import Conversions
from pyfut.c.fresh import is_new_string, is_owned
from pyfut.c.kit import Kit
from pyfut.c.precedence import SELECT
from pyfut.c.whole import Whole
from pyfut.checks.types import NULL, Type
from pyfut.syntax import ast


class Ownership:
    """Writes references and strings that come with a share of their own."""

    def __init__(self, kit: Kit, whole: Whole, conversions: Conversions) -> None:
        self.place = kit.place
        self.needs = kit.needs
        self.types = kit.types
        self.whole = whole
        self.conversions = conversions

    def owned(self, expr: ast.Expr, target: Type) -> str:
        """Return an expression whose value the receiver has to release."""
        if isinstance(expr, ast.Select):
            condition = self.whole.expr(expr.condition, SELECT + 1)
            with self.place.guarded():
                return f"{condition} ? {self.owned(expr.on_true, target)} : {self.owned(expr.on_false, target)}"
        if expr.type == NULL:
            return self.needs.null()
        if is_owned(expr):
            return self.conversions.cast_up(self.whole.raw(expr), expr.type, target)
        shared = f"{self.needs.helper('FuShared_AddRef')}({self.whole.expr(expr)})"
        return f"({self.types.spelled(target)}) {shared}"

    def owned_string(self, expr: ast.Expr) -> str:
        """Return a new string that the receiver has to free."""
        if isinstance(expr, ast.Select):
            condition = self.whole.expr(expr.condition, SELECT + 1)
            with self.place.guarded():
                return f"{condition} ? {self.owned_string(expr.on_true)} : {self.owned_string(expr.on_false)}"
        if is_new_string(expr):
            return self.whole.raw(expr)
        return f"{self.needs.helper('FuString_Copy')}({self.whole.expr(expr)})"
