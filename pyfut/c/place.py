"""Where in the program the writers are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyfut.c.reads import Reads
from pyfut.errors import Diagnostics
from pyfut.syntax import ast


@dataclass
class Jump:
    """A loop or switch around the statement being written."""

    kind: str
    """"loop", "switch" or "strings"."""
    depth: int
    """How many scopes are around it."""
    label: str = ""
    """What stands behind a switch on strings."""


class Place:
    """The class, the method and the statement being written."""

    def __init__(self, program: ast.Program, diagnostics: Diagnostics) -> None:
        self.program = program
        self.diagnostics = diagnostics
        self.owner: ast.ClassDecl | None = None
        self.method: ast.MethodDecl | None = None
        self.reads = Reads()
        """What the method reads."""
        self.hoistable = True
        """Whether lines may be written before the expression."""
        self.declarable = True
        """Whether at least declarations may be written there, as for the condition of a loop."""
        self.temporaries = 0
        """How many variables of its own the function has."""
        self.labels = 0
        """How many labels the function has."""
        self.jumps: list[Jump] = []

    def refuse(self, expr: ast.Expr, construct: str) -> str:
        """Refuse a construct; return a placeholder."""
        self.diagnostics.unsupported(expr.position, f"{construct} in C")
        return "0"

    def start_statement(self) -> None:
        """Allow lines before the expressions that follow."""
        self.hoistable = self.declarable = True

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Write something that is not always evaluated, or more than once."""
        before, self.hoistable = self.hoistable, False
        yield
        self.hoistable = before

    @contextmanager
    def inside(self, method: ast.MethodDecl | None) -> Iterator[None]:
        """Write a function."""
        before = self.method, self.reads, self.temporaries, self.labels
        self.method, self.reads = method, Reads.of(method)
        self.temporaries = self.labels = 0
        yield
        self.method, self.reads, self.temporaries, self.labels = before

    @contextmanager
    def jump(self, kind: str, depth: int, label: str = "") -> Iterator[None]:
        """Write what is inside a loop or switch."""
        self.jumps.append(Jump(kind, depth, label))
        yield
        self.jumps.pop()
