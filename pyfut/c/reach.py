"""What the public interface uses, so that the C compiler finds nothing unused."""

from __future__ import annotations

from pyfut.c.hierarchy import final_method, introduced, is_abstract, table_classes
from pyfut.c.interface import has_new, is_public_const, is_public_method
from pyfut.c.names import Names
from pyfut.syntax import ast
from pyfut.syntax.walk import native_words


def reached(program: ast.Program, names: Names) -> set[ast.Symbol]:
    """Return the methods, constants and classes that are used from outside, directly or not."""
    pending = _roots(program, names)
    found: set[ast.Symbol] = set()
    while pending:
        symbol = pending.pop()
        if symbol in found:
            continue
        found.add(symbol)
        match symbol:
            case ast.MethodDecl():
                pending += symbol.uses
            case ast.ClassDecl():
                pending += symbol.uses
                pending += [s for s in (symbol.base, symbol.constructor) if s is not None]
                if not is_abstract(symbol):
                    introducing = table_classes(symbol)
                    pending += [final_method(m, symbol) for decl in introducing for m in introduced(decl)]
    return found


def _roots(program: ast.Program, names: Names) -> list[ast.Symbol]:
    """Return what other code may use: what is public, `Main`, and what native blocks name."""
    words = native_words([m.body for decl in program.classes for m in decl.members if isinstance(m, ast.MethodDecl)])
    roots: list[ast.Symbol] = []
    for decl in program.classes:
        if not decl.emitted:
            continue
        for method in decl.methods:
            if is_public_method(method) or method is program.main or names.method(method) in words:
                roots.append(method)
        roots += [const for const in decl.constants if is_public_const(const) or names.const(const) in words]
        if has_new(decl):
            roots.append(decl)
    return roots
