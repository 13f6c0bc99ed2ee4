"""How execution moves through statements."""

from __future__ import annotations

from pyfut.syntax import ast


def statements_of(stmt: ast.Stmt | None) -> list[ast.Stmt]:
    """Return the statements of a block, or the statement itself."""
    if stmt is None:
        return []
    return stmt.statements if isinstance(stmt, ast.Block) else [stmt]


def has_own_break(statements: list[ast.Stmt]) -> bool:
    """Whether a `break` leaves the statement around `statements`; loops and switches inside take theirs themselves."""
    return any(_breaks(stmt) for stmt in statements)


def _breaks(stmt: ast.Stmt) -> bool:
    match stmt:
        case ast.Break():
            return True
        case ast.Block():
            return has_own_break(stmt.statements)
        case ast.If():
            return has_own_break(statements_of(stmt.on_true) + statements_of(stmt.on_false))
    return False


def without_final_break(statements: list[ast.Stmt]) -> list[ast.Stmt]:
    """Return the body of a `case` without the `break` that ends it."""
    match statements:
        case [*before, ast.Break()]:
            return before
        case [*before, ast.Block() as last]:
            return [*before, ast.Block(last.position, without_final_break(last.statements))]
    return statements


def completes(statements: list[ast.Stmt]) -> bool:
    """Whether the end of a list of statements can be reached, judging by its last statement only."""
    match statements:
        case [*_, ast.Return() | ast.Throw() | ast.Break() | ast.Continue()]:
            return False
        case [*_, ast.Block() as last]:
            return completes(last.statements)
        case [*_, ast.If(on_false=ast.Stmt()) as last]:
            return completes(statements_of(last.on_true)) or completes(statements_of(last.on_false))
    return True
