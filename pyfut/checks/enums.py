"""The numbers of the members of enumerations."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.checks.expressions import Expressions
from pyfut.checks.types import INT
from pyfut.syntax import ast


def number_values(context: Context, expressions: Expressions, decl: ast.EnumDecl) -> None:
    """Give every member of an enumeration its number."""
    following = 0
    seen: set[str] = set()
    for value in decl.values:
        if value.name in seen:
            context.error(value.position, "Duplicate symbol")
        seen.add(value.name)
        if value.init is not None:
            number = _evaluate(context, expressions, decl, value.init)
            if number is None:
                context.error(value.position, "Expected constant value")
            else:
                following = number
        value.number = following
        following += 1


def _evaluate(context: Context, expressions: Expressions, decl: ast.EnumDecl, init: ast.Expr) -> int | None:
    """Evaluate the value of a member, which may name earlier members without the type."""
    earlier: dict[str, ast.Var | ast.ConstDecl] = {}
    for other in decl.values:
        if other.init is init:
            break
        earlier[other.name] = _as_constant(context.exception, other, init)
    context.scopes = [earlier]
    expressions.value_of(init)
    context.scopes = []
    value = init.value
    if isinstance(value, ast.EnumValue):
        return value.number
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _as_constant(owner: ast.ClassDecl, value: ast.EnumValue, init: ast.Expr) -> ast.ConstDecl:
    """Return a local constant with the number of a member."""
    at, public = value.position, ast.Visibility.PUBLIC
    const = ast.ConstDecl(at, owner, public, value.name, ast.TypeNode(at, "int"), init, [])
    const.type, const.value, const.state = INT, value.number, "done"
    const.method = ast.MethodDecl(at, owner, public, "static", "", None, False, [], [], None, [])
    return const
