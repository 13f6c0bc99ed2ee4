"""Blocks: statements, and what has to be done at their end."""

from __future__ import annotations

from collections.abc import Callable

from pyfut.c.kit import Kit
from pyfut.syntax import ast
from pyfut.syntax.flow import completes, statements_of


class Blocks:
    """Writes lists of statements."""

    def __init__(self, kit: Kit, statement: Callable[[ast.Stmt], None]) -> None:
        self.output = kit.output
        self.cleanups = kit.cleanups
        self.statement = statement
        """Writes a statement."""

    def scope(self, statements: list[ast.Stmt]) -> None:
        """Write statements and what has to be done when their end is reached."""
        self.cleanups.enter()
        for stmt in statements:
            self.statement(stmt)
        self.cleanups.exit(completes(statements))

    def braces(self, statements: list[ast.Stmt]) -> None:
        """Write a block."""
        self.output.line("{")
        with self.output.indented():
            self.scope(statements)
        self.output.line("}")

    def controlled(self, header: str, stmt: ast.Stmt, always_braces: bool = False) -> None:
        """Write a statement that belongs to a header such as `if (x)`; without braces if it is one simple line."""
        start = len(self.output.lines)
        self.output.line(f"{header} {{")
        with self.output.indented():
            self.scope(statements_of(stmt))
        one_line = len(self.output.lines) == start + 2
        simple = isinstance(stmt, (ast.ExprStmt, ast.Return, ast.Break, ast.Continue, ast.Throw))
        if one_line and simple and not always_braces:
            self.output.replace(start, header)
        else:
            self.output.line("}")
