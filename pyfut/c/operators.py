"""Operators."""

from __future__ import annotations

from pyfut.c.conversions import Conversions
from pyfut.c.kit import Kit
from pyfut.c.precedence import EQUALITY, POSTFIX, PRECEDENCE, UNARY
from pyfut.c.rounding import Rounding
from pyfut.c.settled import settled
from pyfut.c.types import SCALARS
from pyfut.c.whole import Whole
from pyfut.checks.builtins import ROUNDING
from pyfut.checks.types import BOOL, BYTE, INT, LONG, NULL, USHORT, ClassType, EnumType, Floating, Kind, StringType
from pyfut.clarity import needs_clarity
from pyfut.naming import escape
from pyfut.syntax import ast


class Operators:
    """Writes operators."""

    def __init__(self, kit: Kit, whole: Whole, rounding: Rounding, conversions: Conversions) -> None:
        self.place = kit.place
        self.needs = kit.needs
        self.names = kit.names
        self.values = kit.values
        self.whole = whole
        self.rounding = rounding
        self.conversions = conversions

    def unary(self, expr: ast.Unary) -> tuple[str, int]:
        """Return a prefix operator."""
        if isinstance(expr.value, int) and expr.value in (INT.minimum, LONG.minimum):
            return self.values.value(expr.value, expr.type)
        operand = self.whole.expr(expr.operand, UNARY)
        if expr.operator == "~" and expr.operand.type in (BYTE, USHORT) and isinstance(expr.operand, ast.Index):
            operand = f"(int) {operand}"
        if isinstance(expr.type, EnumType):
            return f"({self.names.type(expr.type.decl)}) {expr.operator}{operand}", UNARY
        space = " " if operand.startswith(expr.operator[0]) else ""
        return f"{expr.operator}{space}{operand}", UNARY

    def binary(self, expr: ast.Binary) -> tuple[str, int]:
        """Return an operator with two operands."""
        operator = expr.operator
        if isinstance(expr.left.type, StringType) or isinstance(expr.right.type, StringType):
            return self._string_operator(expr)
        if operator in ("==", "!=") and isinstance(expr.left.type, ClassType):
            return self._compare_objects(expr)
        integers = (expr.left.type, expr.right.type) == (INT, INT)
        if expr.type == LONG and integers and isinstance(expr.value, int):
            return self.values.value(expr.value, LONG)
        result = settled(expr)
        if result is not None:
            return self.values.const(result, BOOL), POSTFIX
        if operator == "<<" and isinstance(expr.left.value, int) and expr.left.value < 0:
            unsigned = "uint64_t" if expr.type == LONG else "unsigned int"
            self.needs.include_type(unsigned)
            amount = self.whole.expr(expr.right, PRECEDENCE["<<"] + 1)
            return f"({SCALARS[expr.type]}) (({unsigned}) {self.whole.expr(expr.left, UNARY)} << {amount})", UNARY
        precedence = PRECEDENCE[operator]
        left = self._operand(expr, expr.left, precedence + (precedence in (EQUALITY, EQUALITY + 1)))
        if operator in ("&&", "||"):
            with self.place.guarded():
                right = self._operand(expr, expr.right, precedence + 1)
        else:
            right = self._operand(expr, expr.right, precedence + 1)
        return f"{left} {operator} {right}", precedence

    def _operand(self, expr: ast.Binary, operand: ast.Expr, minimum: int) -> str:
        other = expr.right if operand is expr.left else expr.left
        if isinstance(operand, ast.Call) and operand.builtin in ROUNDING and isinstance(other.type, Floating):
            return self.rounding.floating(operand)
        if isinstance(operand, ast.Binary) and needs_clarity(expr.operator, operand.operator):
            minimum = max(minimum, PRECEDENCE[operand.operator] + 1)
        if expr.operator in ("|", "&", "^") and expr.type == BOOL:
            minimum = max(minimum, PRECEDENCE["<"] + 1)
        return self.whole.expr(operand, minimum)

    def _compare_objects(self, expr: ast.Binary) -> tuple[str, int]:
        left, right = expr.left.type, expr.right.type
        if isinstance(left, ClassType) and isinstance(right, ClassType):
            common = left.decl if right.decl.derives_from(left.decl) else right.decl
            target = ClassType(common, Kind.READ)
            pair = [self.conversions.coerce(side, target, False, EQUALITY + 1) for side in (expr.left, expr.right)]
        else:
            pair = [self.whole.expr(side, EQUALITY + 1) for side in (expr.left, expr.right)]
        return f"{pair[0]} {expr.operator} {pair[1]}", EQUALITY

    def _string_operator(self, expr: ast.Binary) -> tuple[str, int]:
        if expr.operator == "+":
            if isinstance(expr.value, str):
                return escape(expr.value), POSTFIX
            arguments = f"{self.whole.expr(expr.left)}, {self.whole.expr(expr.right)}"
            return f"{self.needs.helper('FuString_Concat')}({arguments})", POSTFIX
        left, right = self.whole.expr(expr.left), self.whole.expr(expr.right)
        if NULL in (expr.left.type, expr.right.type):
            return f"{left} {expr.operator} {right}", EQUALITY
        self.needs.include("string.h")
        return f"strcmp({left}, {right}) {expr.operator} 0", EQUALITY
