"""Methods that override others."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.syntax import ast


def check_overrides(context: Context, decl: ast.ClassDecl) -> None:
    """Check the members of a class that have the name of a member of its bases."""
    if decl.base is None:
        return
    for name, member in decl.scope.items():
        inherited = decl.base.find(name)
        overrides = isinstance(member, ast.MethodDecl) and member.call_type in ("override", "sealed")
        if overrides:
            assert isinstance(member, ast.MethodDecl)
            if isinstance(inherited, ast.MethodDecl):
                _check_override(context, member, inherited)
            else:
                context.error(member.position, "No method to override")
        elif inherited is not None and inherited.visibility is not ast.Visibility.PRIVATE:
            base = inherited.owner.name
            if isinstance(member, ast.MethodDecl) and isinstance(inherited, ast.MethodDecl):
                message = f"Method defined in base class '{base}'. Did you mean 'override'?"
            else:
                message = f"Duplicate definition of '{name}' in base class '{base}'"
            context.error(member.position, message)


def _check_override(context: Context, method: ast.MethodDecl, base: ast.MethodDecl) -> None:
    method.overridden = base
    position = method.position
    if not base.is_virtual or base.call_type == "sealed":
        method.overridden = None
        message = "Base method is sealed" if base.call_type == "sealed" else "Base method is not abstract or virtual"
        context.error(position, message)
        return
    if method.visibility is not base.visibility:
        context.error(position, "Access modifier different from the overridden method")
    if method.mutator != base.mutator:
        kind, other = ("Mutating", "non-mutating") if method.mutator else ("Non-mutating", "mutating")
        context.error(position, f"{kind} method cannot override a {other} method")
    if method.type != base.type:
        context.error(position, "Base method has a different return type")
    if len(method.parameters) != len(base.parameters):
        amount = "More" if len(method.parameters) > len(base.parameters) else "Fewer"
        context.error(position, f"{amount} parameters than the overridden method")
    for mine, theirs in zip(method.parameters, base.parameters, strict=False):
        if mine.type != theirs.type:
            context.error(mine.position, "Base method has a different parameter type")
