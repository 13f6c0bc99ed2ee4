"""Where in the program the checks are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyfut.checks import builtins
from pyfut.checks.types import ERROR, NAMED_TYPES, Type
from pyfut.errors import Diagnostics, Position
from pyfut.syntax import ast


class Context:
    """The class and the method being checked, and what is visible there; all checks share one."""

    def __init__(self, program: ast.Program, diagnostics: Diagnostics) -> None:
        self.program = program
        self.diagnostics = diagnostics
        self.exception = ast.ClassDecl(Position("", 0), True, "", "Exception", "", [], emitted=False)
        """The base of all exception classes."""
        self.globals: dict[str, ast.ClassDecl | ast.EnumDecl] = {"Exception": self.exception}
        self.owner: ast.ClassDecl | None = None
        self.method: ast.MethodDecl | None = None
        self.scopes: list[dict[str, ast.Var | ast.ConstDecl]] = []
        self.uses: set[ast.Symbol] = set()
        """Receives the methods called, the array constants read and the classes instantiated."""
        self.conditional = ""
        """The operator whose right side is being checked: `++` and `--` are not allowed there."""

    def error(self, position: Position, message: str) -> Type:
        """Record an error and return the type of an erroneous expression."""
        self.diagnostics.error(position, message)
        return ERROR

    def refuse(self, position: Position, construct: str) -> Type:
        """Record that a construct is not covered and return the type of an erroneous expression."""
        self.diagnostics.unsupported(position, construct)
        return ERROR

    def lookup(self, name: str) -> ast.Symbol | None:
        """Return what a plain identifier means here."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        member = self.owner.find(name) if self.owner is not None else None
        if member is not None:
            return member
        if name in self.globals:
            return self.globals[name]
        if name in builtins.CLASSES or name in NAMED_TYPES:
            return ast.BuiltinName(Position("", 0), name)
        return None

    def declare(self, var: ast.Var) -> None:
        """Make a local variable visible in the innermost scope."""
        if var.name in self.scopes[-1]:
            self.error(var.position, "Duplicate symbol")
        var.shadow = sum(var.name in scope for scope in self.scopes[:-1])
        self.scopes[-1][var.name] = var

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Open a scope; at its end, all variables must have got a value."""
        self.scopes.append({})
        yield
        for symbol in self.scopes.pop().values():
            if isinstance(symbol, ast.Var) and not symbol.is_assigned and not symbol.is_parameter:
                self.error(symbol.position, "Uninitialized variable")

    def is_exception(self, decl: ast.Symbol | None) -> bool:
        """Whether a declaration is a class of exceptions."""
        return isinstance(decl, ast.ClassDecl) and decl.derives_from(self.exception)

    def may_throw(self, exception: str) -> bool:
        """Whether the current method declares the exception class or one of its bases."""
        assert self.method is not None
        declared = {thrown.name for thrown in self.method.throws}
        decl = self.globals.get(exception)
        while isinstance(decl, ast.ClassDecl):
            if decl.name in declared:
                return True
            decl = decl.base
        return exception in declared or "Exception" in declared
