"""Operators."""

from __future__ import annotations

from pyfut.checks.types import NULL, ArrayType, ClassType, EnumType, Integer, is_reference
from pyfut.clarity import needs_clarity
from pyfut.python.module import Module
from pyfut.python.precedence import COMPARISON, NOT, PRECEDENCE, PRIMARY, SELECT, UNARY
from pyfut.python.signs import Signs
from pyfut.python.steps import Steps
from pyfut.python.whole import Whole
from pyfut.syntax import ast

SPELLING = {"&&": "and", "||": "or"}


class Operators:
    """Writes operators, integer division included, which rounds toward zero."""

    def __init__(self, module: Module, whole: Whole, steps: Steps, signs: Signs) -> None:
        self.module = module
        self.whole = whole
        self.steps = steps
        self.signs = signs

    def unary(self, expr: ast.Unary | ast.Postfix) -> tuple[str, int]:
        """Return an operator with one operand."""
        if expr.operator in ("++", "--"):
            return self.steps.step(expr)
        if expr.operator == "!":
            return f"not {self.whole.expr(expr.operand, NOT)}", NOT
        operand = self.whole.expr(expr.operand, UNARY)
        space = " " if operand.startswith(expr.operator) else ""
        return f"{expr.operator}{space}{operand}", UNARY

    def select(self, expr: ast.Select) -> tuple[str, int]:
        """Return `?:`."""
        condition, on_true = self.whole.expr(expr.condition, 1), self.whole.expr(expr.on_true, 1)
        return f"{on_true} if {condition} else {self.whole.expr(expr.on_false)}", SELECT

    def binary(self, expr: ast.Binary) -> tuple[str, int]:
        """Return an operator with two operands."""
        operator = expr.operator
        integers = isinstance(expr.left.type, Integer) and isinstance(expr.right.type, Integer)
        if operator in ("/", "%") and integers and not self._both_nonnegative(expr.left, expr.right):
            arguments = f"{self.whole.expr(expr.left)}, {self.whole.expr(expr.right)}"
            return f"{self._truncating(operator)}({arguments})", PRIMARY
        precedence = PRECEDENCE[operator]
        if operator in ("<", "<=", ">", ">=") and isinstance(expr.left.type, EnumType):
            left, right = (f"{self.whole.expr(side, PRIMARY)}.value" for side in (expr.left, expr.right))
            return f"{left} {operator} {right}", precedence
        left = self._operand(operator, expr.left, precedence + (precedence == COMPARISON))
        right = self._operand(operator, expr.right, precedence + 1)
        spelling = SPELLING.get(operator, operator)
        if operator == "/" and integers:
            spelling = "//"
        if operator in ("==", "!=") and self._compares_identity(expr):
            spelling = "is" if operator == "==" else "is not"
        return f"{left} {spelling} {right}", precedence

    def _operand(self, operator: str, operand: ast.Expr, minimum: int) -> str:
        clarify = isinstance(operand, ast.Binary) and needs_clarity(operator, operand.operator)
        return self.whole.expr(operand, PRIMARY if clarify else minimum)

    @staticmethod
    def _compares_identity(expr: ast.Binary) -> bool:
        left, right = expr.left.type, expr.right.type
        return NULL in (left, right) or isinstance(left, (ClassType, ArrayType)) or is_reference(right)

    def compound(self, expr: ast.Assign) -> str:
        """Return an assignment such as `a += b`."""
        target, source = self.whole.expr(expr.target), self.whole.expr(expr.source)
        operator = expr.operator
        if operator in ("/=", "%=") and isinstance(expr.target.type, Integer):
            if not self._both_nonnegative(expr.target, expr.source):
                return f"{target} = {self._truncating(operator[0])}({target}, {source})"
            return f"{target} {'//=' if operator == '/=' else '%='} {source}"
        return f"{target} {operator} {source}"

    def _both_nonnegative(self, left: ast.Expr, right: ast.Expr) -> bool:
        return self.signs.is_nonnegative(left) and self.signs.is_nonnegative(right)

    def _truncating(self, operator: str) -> str:
        """Return the function for `/` or `%` of integers that may be negative."""
        return self.module.helper("_div" if operator == "/" else "_mod")
