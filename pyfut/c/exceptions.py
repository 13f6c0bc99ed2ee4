"""Exceptions, which are results out of range in C."""

from __future__ import annotations

from pyfut.c.kit import Kit
from pyfut.c.precedence import POSTFIX
from pyfut.c.temporaries import Temporaries
from pyfut.checks.types import (
    INT,
    LONG,
    NINT,
    VOID,
    ArrayType,
    ClassType,
    Floating,
    Integer,
    StringType,
)
from pyfut.syntax import ast


class Exceptions:
    """Writes what throws, and what checks whether something was thrown."""

    def __init__(self, kit: Kit, temporaries: Temporaries) -> None:
        self.output = kit.output
        self.place = kit.place
        self.needs = kit.needs
        self.cleanups = kit.cleanups
        self.temporaries = temporaries

    def fail(self) -> None:
        """Write the return of the value that stands for an exception."""
        self.cleanups.leave()
        assert self.place.method is not None
        self.output.line(f"return {self.failure(self.place.method)};")

    def failure(self, method: ast.MethodDecl) -> str:
        """Return the value by which a method says that it threw an exception."""
        type_ = method.type
        match type_:
            case Integer() if type_ not in (INT, NINT, LONG):
                return str(min(type_.minimum - 1, -1))
            case Floating():
                self.needs.include("math.h")
                return "NAN"
            case StringType() | ClassType() | ArrayType() if not type_.nullable:
                return self.needs.null()
        if type_ != VOID:
            construct = f"throwing from a method that returns '{type_}' in C"
            self.place.diagnostics.unsupported(method.position, construct)
        return "false"

    def checked(self, expr: ast.Call, method: ast.MethodDecl, text: str) -> tuple[str, int]:
        """Return the result of a call of a method that may throw, after writing the check of it."""
        failure = self.failure(method)
        if method.type == VOID:
            if not self.place.hoistable:
                return self.place.refuse(expr, "call of a method that throws in this place"), POSTFIX
            self._check(f"!{text}")
            return "", POSTFIX
        name = self.temporaries.hoist(expr, "call of a method that throws", method.type, text)
        self._check(f"isnan({name})" if failure == "NAN" else f"{name} == {failure}")
        return name, POSTFIX

    def _check(self, condition: str) -> None:
        self.output.line(f"if ({condition}) {{")
        with self.output.indented():
            self.fail()
        self.output.line("}")
