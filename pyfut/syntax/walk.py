"""Questions about parts of the syntax tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

from pyfut.naming import snake_case
from pyfut.syntax import ast

SKIPPED = frozenset(("position", "owner", "written"))


def children(node: object) -> list[object]:
    """Return what is directly below `node`, in source order."""
    if isinstance(node, (list, tuple)):
        return list(node)
    if not isinstance(node, ast.Node):
        return []
    lengths = [bracket.length for bracket in node.written.brackets] if isinstance(node, ast.New) else []
    below = [getattr(node, field.name) for field in fields(node) if field.init and field.name not in SKIPPED]
    return [*lengths, *below]


def walk(node: object) -> Iterator[ast.Node]:
    """Yield `node` and everything below it, in source order."""
    if isinstance(node, ast.Node):
        yield node
    for child in children(node):
        yield from walk(child)


def steps(node: object) -> list[ast.Unary | ast.Postfix]:
    """Return the `++` and `--` below `node`."""
    return [n for n in walk(node) if isinstance(n, (ast.Unary, ast.Postfix)) and n.operator in ("++", "--")]


def modified(node: object) -> tuple[set[ast.Var | ast.FieldDecl], set[str]]:
    """Return the variables and fields assigned below `node`, and the words of native blocks there."""
    targets: list[ast.Expr] = [n.target for n in walk(node) if isinstance(n, ast.Assign)]
    targets += [step.operand for step in steps(node)]
    symbols: set[ast.Var | ast.FieldDecl] = set()
    for target in targets:
        if isinstance(target, (ast.Name, ast.Member)) and isinstance(target.symbol, (ast.Var, ast.FieldDecl)):
            symbols.add(target.symbol)
    return symbols, native_words(node)


def native_words(node: object) -> set[str]:
    """Return the words of the native blocks below `node`."""
    natives = [n for n in walk(node) if isinstance(n, ast.NativeStmt)]
    return {word for native in natives for word in re.findall(r"\w+", native.text)}


def is_named(symbol: ast.Var | ast.FieldDecl, words: set[str]) -> bool:
    """Whether a native block names a variable or a field, in the spelling of C or of Python."""
    return symbol.name in words or snake_case(symbol.name) in words


def calls_methods(node: object) -> bool:
    """Whether a method of the program is called, which may modify any field."""
    return any(isinstance(n, ast.Call) and n.method is not None for n in walk(node))


def has_side_effects(node: object) -> bool:
    """Whether evaluating an expression twice makes a difference, or is slow."""
    return bool(steps(node)) or calls_methods(node)


def is_invariant(expr: ast.Expr, body: object) -> bool:
    """Whether executing `body` leaves the value of `expr` as it is."""
    symbols, words = modified(body)
    opaque = calls_methods(body)
    for n in walk(expr):
        if isinstance(n, ast.Index) or (isinstance(n, ast.Call) and n.method is not None) or isinstance(n, ast.Assign):
            return False
        symbol = n.symbol if isinstance(n, (ast.Name, ast.Member)) else None
        if isinstance(symbol, ast.FieldDecl) and (opaque or symbol in symbols or words):
            return False
        if isinstance(symbol, ast.Var) and (symbol in symbols or is_named(symbol, words)):
            return False
    return not steps(expr)


def without_fields(expr: ast.Expr) -> ast.Expr:
    """Return `new C { ... }` as `new C()`, for targets that assign the fields afterwards; others as they are."""
    if not isinstance(expr, ast.New) or not expr.fields:
        return expr
    bare = ast.New(expr.position, expr.written, [])
    bare.type = expr.type
    return bare


def root(expr: ast.Expr) -> object:
    """Return the variable or field at the bottom of `a.b[c].d`."""
    while isinstance(expr, (ast.Index, ast.Member)) and not (
        isinstance(expr, ast.Member) and isinstance(expr.object, ast.Name)
    ):
        expr = expr.object
    return expr.symbol if isinstance(expr, (ast.Name, ast.Member)) else None


def mentions(node: object, symbol: object) -> int:
    """Count the places where a variable or a field is named."""
    return sum(isinstance(n, (ast.Name, ast.Member)) and n.symbol is symbol for n in walk(node))
