"""Variables for values inside expressions."""

from __future__ import annotations

from pyfut.c.kit import Kit
from pyfut.checks.types import Type
from pyfut.syntax import ast


class Temporaries:
    """Gives names to values, before the statement."""

    def __init__(self, kit: Kit) -> None:
        self.output = kit.output
        self.place = kit.place
        self.needs = kit.needs
        self.types = kit.types
        self.cleanups = kit.cleanups

    def hoist(self, expr: ast.Expr, construct: str, type_: Type, text: str) -> str:
        """Evaluate `text` into a new variable before the statement; return the name of the variable."""
        if not self.place.hoistable:
            return self.place.refuse(expr, f"{construct} in this place")
        name = self._name()
        self.output.line(f"{self.types.declaration(type_, name)} = {text};")
        return name

    def _name(self) -> str:
        self.place.temporaries += 1
        return f"futemp{self.place.temporaries - 1}"

    def keep_shared(self, expr: ast.Expr, text: str) -> str:
        """Give a name to a share that is to be released at the end of the scope."""
        return self._keep(expr, text, f"({self.types.spelled(expr.type)}) ", "FuShared", "FuShared_Release")

    def keep_string(self, expr: ast.Expr, text: str) -> str:
        """Give a name to a string that is to be freed at the end of the scope."""
        self.needs.include("stdlib.h")
        return self._keep(expr, text, "", "FuString", "free")

    def _keep(self, expr: ast.Expr, text: str, cast: str, kind: str, release: str) -> str:
        if self.place.hoistable:
            name = self.hoist(expr, "", expr.type, text)
            self.cleanups.add(f"{release}({name});")
            return name
        if not self.place.declarable:
            return self.place.refuse(expr, "a new object or string in this place")
        name = self._name()
        self.output.line(f"{self.types.declaration(expr.type, name)} = {self.needs.null()};")
        self.cleanups.add(f"{release}({name});")
        return f"({name} = {cast}{self.needs.helper(f'{kind}_Replace')}({name}, {text}))"
