"""Increments inside expressions, which Python has no operator for."""

from __future__ import annotations

from pyfut.python.module import Module
from pyfut.python.precedence import PRECEDENCE, PRIMARY
from pyfut.python.whole import Whole
from pyfut.syntax import ast
from pyfut.syntax.walk import calls_methods, mentions, root, steps


class Steps:
    """Moves `++` and `--` before or behind their statement, or assigns inside the expression."""

    def __init__(self, module: Module, whole: Whole) -> None:
        self.module = module
        self.whole = whole
        self.around: set[ast.Unary | ast.Postfix] = set()
        """The increments of the statement that are written before or behind it."""
        self.before: list[str] = []
        self.after: list[str] = []

    def plan(self, node: ast.Expr, in_condition: bool = False) -> None:
        """Decide how the `++` and `--` below `node` are written.

        One may be taken out of its statement if nothing else there reads or modifies the same variable. A local
        variable can also be assigned inside an expression.
        """
        opaque = calls_methods(node)
        for step in steps(node):
            symbol = root(step.operand)
            local = isinstance(step.operand, ast.Name) and isinstance(symbol, ast.Var)
            alone = mentions(node, symbol) == 1 and (local or not opaque) and not steps(step.operand)
            if not alone and not local:
                construct = f"'{step.operator}' of something used elsewhere in the same expression"
                self.module.diagnostics.unsupported(step.position, construct)
            if not local or (alone and not in_condition):
                self.around.add(step)

    def take(self) -> tuple[list[str], list[str]]:
        """Return the lines to be written before and behind the statement, and forget them."""
        taken = self.before, self.after
        self.before, self.after = [], []
        self.around = set()
        return taken

    @staticmethod
    def needs_statements(condition: ast.Expr) -> bool:
        """Whether a condition increments something that an expression cannot assign in Python."""
        return any(
            not isinstance(step.operand, ast.Name) or not isinstance(step.operand.symbol, ast.Var)
            for step in steps(condition)
        )

    def step(self, expr: ast.Unary | ast.Postfix) -> tuple[str, int]:
        """Return what stands for `++` or `--` in the expression."""
        operand = self.whole.expr(expr.operand)
        sign = expr.operator[0]
        prefix = isinstance(expr, ast.Unary)
        if expr in self.around:
            (self.before if prefix else self.after).append(f"{operand} {sign}= 1")
            return operand, PRIMARY
        assignment = f"({operand} := {operand} {sign} 1)"
        if prefix:
            return assignment, PRIMARY
        return f"{assignment} {'-' if sign == '+' else '+'} 1", PRECEDENCE["+"]
