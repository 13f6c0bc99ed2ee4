"""Loops that count, which become `for i in range(...)`."""

from __future__ import annotations

from dataclasses import dataclass

from pyfut.checks.types import Integer
from pyfut.python.expressions import Expressions
from pyfut.python.names import Names
from pyfut.python.precedence import PRECEDENCE
from pyfut.syntax import ast
from pyfut.syntax.walk import is_invariant, is_named, modified, steps, walk

REVERSED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass
class Counting:
    """A loop `for (int var = start; var operator bound; var += step)`."""

    var: ast.Var
    start: ast.Expr
    operator: str
    bound: ast.Expr
    step: int


class Ranges:
    """Finds and writes loops that count."""

    def __init__(self, names: Names, expressions: Expressions) -> None:
        self.names = names
        self.expressions = expressions
        self.signs = expressions.signs

    def header(self, stmt: ast.For) -> str | None:
        """Return `for i in range(...):` if the loop counts, otherwise None."""
        loop = find_counting(stmt)
        if loop is None:
            return None
        if loop.step > 0 and self.signs.is_nonnegative(loop.start):
            self.signs.nonnegative.add(loop.var)
        start, stop = self.expressions.expr(loop.start), self._stop(loop.bound, loop.operator)
        name = self.names.var(loop.var) if _is_used(loop.var, stmt.body) else "_"
        if loop.step != 1:
            return f"for {name} in range({start}, {stop}, {loop.step}):"
        return f"for {name} in range({stop}):" if start == "0" else f"for {name} in range({start}, {stop}):"

    def leave(self, stmt: ast.For) -> None:
        """Forget what was known inside the loop."""
        assert isinstance(stmt.init, ast.VarStmt)
        self.signs.nonnegative.discard(stmt.init.var)

    def _stop(self, bound: ast.Expr, operator: str) -> str:
        offset = {"<=": 1, ">=": -1}.get(operator, 0)
        if offset == 0:
            return self.expressions.expr(bound)
        if isinstance(bound.value, int):
            return str(bound.value + offset)
        return f"{self.expressions.expr(bound, PRECEDENCE['+'])} {'+' if offset > 0 else '-'} 1"


def find_counting(stmt: ast.For) -> Counting | None:
    """Return what a loop counts; None if it does something else, or changes its variable or its bound."""
    match stmt.init, stmt.condition:
        case ast.VarStmt(var=ast.Var(type=Integer(), init=ast.Expr() as start) as var), ast.Binary() as condition:
            pass
        case _:
            return None
    operator, bound = _bound(condition, var)
    step = _step(stmt.advance, var)
    if bound is None or step == 0 or (step > 0) != (operator in ("<", "<=")):
        return None
    symbols, words = modified(stmt.body)
    if var in symbols or is_named(var, words) or steps(start):
        return None
    if not isinstance(bound.type, Integer) or not is_invariant(bound, [stmt.body, stmt.advance]):
        return None
    return Counting(var, start, operator, bound, step)


def _bound(condition: ast.Binary, var: ast.Var) -> tuple[str, ast.Expr | None]:
    """Return the operator and the other operand of a comparison with `var`."""
    if condition.operator not in REVERSED:
        return "", None
    match condition.left, condition.right:
        case _, ast.Name(symbol=symbol) if symbol is var:
            return REVERSED[condition.operator], condition.left
        case ast.Name(symbol=symbol), _ if symbol is var:
            return condition.operator, condition.right
    return "", None


def _step(advance: ast.Expr | None, var: ast.Var) -> int:
    """Return by how much the loop advances `var`, 0 if not by a constant."""
    match advance:
        case ast.Assign(target=ast.Name(symbol=symbol), operator="+=" | "-=", source=ast.Expr(value=int(value))):
            return 0 if symbol is not var else value if advance.operator == "+=" else -value
        case ast.Unary() | ast.Postfix() if isinstance(advance.operand, ast.Name) and advance.operand.symbol is var:
            return {"++": 1, "--": -1}.get(advance.operator, 0)
    return 0


def _is_used(var: ast.Var, body: ast.Stmt) -> bool:
    """Whether the body of a loop may read its variable."""
    return bool(modified(body)[1]) or any(isinstance(n, ast.Name) and n.symbol is var for n in walk(body))
