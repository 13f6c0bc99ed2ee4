"""Questions about parts of the syntax tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields

from pyfut.ast import (
    Assign,
    Block,
    Break,
    Call,
    Continue,
    DoWhile,
    Expr,
    FieldDecl,
    For,
    Foreach,
    If,
    Index,
    Member,
    Name,
    NativeStmt,
    Node,
    Postfix,
    Return,
    Stmt,
    Switch,
    Throw,
    Unary,
    Var,
    While,
)
from pyfut.naming import snake_case

SKIPPED = frozenset(("position", "owner", "written"))


def walk(node: object) -> Iterator[Node]:
    """Yield `node` and everything below it, in source order."""
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from walk(item)
    elif isinstance(node, Node):
        yield node
        for field in fields(node):
            if field.init and field.name not in SKIPPED:
                yield from walk(getattr(node, field.name))


def steps(node: object) -> list[Unary | Postfix]:
    """Return the `++` and `--` below `node`."""
    return [n for n in walk(node) if isinstance(n, (Unary, Postfix)) and n.operator in ("++", "--")]


def modified(node: object) -> tuple[set[Var | FieldDecl], set[str]]:
    """Return the variables and fields assigned below `node`, and the words of native blocks there."""
    targets: list[Expr] = [n.target for n in walk(node) if isinstance(n, Assign)]
    targets += [step.operand for step in steps(node)]
    symbols: set[Var | FieldDecl] = set()
    for target in targets:
        if isinstance(target, (Name, Member)) and isinstance(target.symbol, (Var, FieldDecl)):
            symbols.add(target.symbol)
    words: set[str] = set()
    for n in walk(node):
        if isinstance(n, NativeStmt):
            words.update(re.findall(r"\w+", n.text))
    return symbols, words


def is_named(symbol: Var | FieldDecl, words: set[str]) -> bool:
    """Whether a native block names a variable or a field, in the spelling of C or of Python."""
    return symbol.name in words or snake_case(symbol.name) in words


def calls_methods(node: object) -> bool:
    """Whether a method of the program is called, which may modify any field."""
    return any(isinstance(n, Call) and n.method is not None for n in walk(node))


def is_invariant(expr: Expr, body: object) -> bool:
    """Whether executing `body` leaves the value of `expr` as it is."""
    symbols, words = modified(body)
    opaque = calls_methods(body)
    for n in walk(expr):
        if isinstance(n, Index) or (isinstance(n, Call) and n.method is not None) or isinstance(n, Assign):
            return False
        symbol = n.symbol if isinstance(n, (Name, Member)) else None
        if isinstance(symbol, FieldDecl) and (opaque or symbol in symbols or words):
            return False
        if isinstance(symbol, Var) and (symbol in symbols or is_named(symbol, words)):
            return False
    return not steps(expr)


def root(expr: Expr) -> object:
    """Return the variable or field at the bottom of `a.b[c].d`."""
    while isinstance(expr, (Index, Member)) and not (isinstance(expr, Member) and isinstance(expr.object, Name)):
        expr = expr.object
    return expr.symbol if isinstance(expr, (Name, Member)) else None


def mentions(node: object, symbol: object) -> int:
    """Count the places where a variable or a field is named."""
    return sum(isinstance(n, (Name, Member)) and n.symbol is symbol for n in walk(node))


def statements_of(stmt: Stmt | None) -> list[Stmt]:
    """Return the statements of a block, or the statement itself."""
    if stmt is None:
        return []
    return stmt.statements if isinstance(stmt, Block) else [stmt]


def own_jump(statements: list[Stmt], kind: type[Stmt], through: Callable[[Stmt], bool]) -> bool:
    """Whether a jump of the given kind belongs to the statement around `statements`.

    `through` says which nested statements do not take such a jump for themselves.
    """
    for stmt in statements:
        if isinstance(stmt, kind):
            return True
        if not through(stmt):
            continue
        if isinstance(stmt, Block) and own_jump(stmt.statements, kind, through):
            return True
        if isinstance(stmt, If):
            branches = statements_of(stmt.on_true) + statements_of(stmt.on_false)
            if own_jump(branches, kind, through):
                return True
        if isinstance(stmt, Switch):
            bodies = [s for case in stmt.cases for s in case.body] + (stmt.default or [])
            if own_jump(bodies, kind, through):
                return True
    return False


def has_own_break(statements: list[Stmt]) -> bool:
    """Whether a `break` leaves the statement around `statements`."""
    return own_jump(statements, Break, lambda s: not isinstance(s, (While, DoWhile, For, Foreach, Switch)))


def without_final_break(statements: list[Stmt]) -> list[Stmt]:
    """Return the body of a `case` without the `break` that ends it."""
    if not statements:
        return []
    *before, last = statements
    if isinstance(last, Break):
        return before
    if isinstance(last, Block):
        return [*before, Block(last.position, without_final_break(last.statements))]
    return statements


def completes(statements: list[Stmt]) -> bool:
    """Whether the end of a list of statements can be reached, judging by its last statement only."""
    if not statements:
        return True
    last = statements[-1]
    if isinstance(last, (Return, Throw, Break, Continue)):
        return False
    if isinstance(last, Block):
        return completes(last.statements)
    if isinstance(last, If):
        both = last.on_false is not None
        return not both or completes(statements_of(last.on_true)) or completes(statements_of(last.on_false))
    return True
