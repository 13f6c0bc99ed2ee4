"""Bases of classes."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.syntax import ast


def resolve_base(context: Context, decl: ast.ClassDecl) -> None:
    """Find the base of a class."""
    if not decl.base_name:
        return
    base = context.globals.get(decl.base_name)
    if not isinstance(base, ast.ClassDecl):
        context.error(decl.position, f"Base class '{decl.base_name}' not found")
        return
    decl.base = base
    if decl.public and not base.public:
        context.error(decl.position, "Public class cannot derive from an internal class")
    if base.modifier == "sealed":
        context.error(decl.position, f"Base class '{base.name}' is sealed")
    if base.modifier == "static":
        context.error(decl.position, f"Base class '{base.name}' is static")


def check_circular_bases(context: Context) -> None:
    """Refuse classes that derive from themselves, and cut the circle."""
    circular = []
    for decl in context.program.classes:
        base = decl.base
        seen = {id(decl)}
        while base is not None and id(base) not in seen:
            seen.add(id(base))
            base = base.base
        if base is decl:
            circular.append(decl)
    for decl in circular:
        context.error(decl.position, f"Circular inheritance for class '{decl.name}'")
        decl.base = None
