"""Prototypes of functions."""

from __future__ import annotations

from pyfut.c.kit import Kit
from pyfut.checks.types import VOID, ClassType, Kind
from pyfut.syntax import ast


class Signatures:
    """Spells prototypes."""

    def __init__(self, kit: Kit) -> None:
        self.place = kit.place
        self.needs = kit.needs
        self.names = kit.names
        self.types = kit.types

    def of(self, method: ast.MethodDecl) -> str:
        """Return the prototype of the function that implements a method."""
        return self.named(method, self.names.method(method))

    def named(self, method: ast.MethodDecl, name: str) -> str:
        """Return the prototype of a method under the given name."""
        parameters = []
        if not method.is_static:
            kind = Kind.WRITE if method.mutator else Kind.READ
            parameters.append(self.types.declaration(ClassType(method.owner, kind), "self"))
        with self.place.inside(method):
            parameters += [self.types.declaration(p.type, self.names.var(p)) for p in method.parameters]
        text = f"{name}({', '.join(parameters) or 'void'})"
        if method.throws and method.type == VOID:
            self.needs.include("stdbool.h")
            return f"bool {text}"
        return self.types.declaration(method.type, text)
