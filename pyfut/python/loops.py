"""Loops."""

from __future__ import annotations

from collections.abc import Callable

from pyfut.checks.types import StringType
from pyfut.output import Output
from pyfut.python.expressions import Expressions
from pyfut.python.names import Names
from pyfut.python.ranges import Ranges
from pyfut.python.simple_statements import SimpleStatements
from pyfut.syntax import ast
from pyfut.syntax.flow import statements_of


class Loops:
    """Writes loops, and the jumps inside them."""

    def __init__(
        self,
        output: Output,
        names: Names,
        expressions: Expressions,
        simple: SimpleStatements,
        suite: Callable[[list[ast.Stmt]], None],
    ) -> None:
        self.output = output
        self.names = names
        self.expressions = expressions
        self.steps = expressions.steps
        self.simple = simple
        self.ranges = Ranges(names, expressions)
        self.suite = suite
        """Writes an indented block."""
        self.enclosing: list[str] = []
        """The enclosing "loop" and "switch" statements."""
        self.continuing: list[list[str]] = []
        """For each enclosing loop, the lines that a `continue` has to execute first."""

    def _body(self, body: ast.Stmt, continuing: list[str] | None = None) -> None:
        self.enclosing.append("loop")
        self.continuing.append(continuing or [])
        self.suite(statements_of(body))
        self.enclosing.pop()
        self.continuing.pop()

    def write_continue(self) -> None:
        """Write `continue`."""
        self.output.write([*self.continuing[-1], "continue"])

    def write_while(self, stmt: ast.While) -> None:
        """Write `while`."""
        if not self.steps.needs_statements(stmt.condition):
            self.output.line(f"while {self.expressions.expr(stmt.condition)}:")
        else:
            self.output.line("while True:")
            with self.output.indented():
                self._exit_unless(stmt.condition)
        self._body(stmt.body)

    def write_do(self, stmt: ast.DoWhile) -> None:
        """Write `do` ... `while`."""
        self.output.line("while True:")
        with self.output.captured() as check:
            self._exit_unless(stmt.condition)
        self._body(stmt.body, check)
        with self.output.indented():
            self.output.write(check)

    def _exit_unless(self, condition: ast.Expr) -> None:
        if condition.value is True:
            return
        self.output.line(f"if not ({self.simple.condition(condition)}):")
        self.output.line("\tbreak")

    def write_for(self, stmt: ast.For) -> None:
        """Write `for`, as a range if it counts."""
        header = self.ranges.header(stmt)
        if header is None:
            self._for_as_while(stmt)
            return
        self.output.line(header)
        self._body(stmt.body)
        self.ranges.leave(stmt)

    def _for_as_while(self, stmt: ast.For) -> None:
        match stmt.init:
            case ast.VarStmt():
                self.simple.var(stmt.init.var)
            case ast.ExprStmt():
                self.simple.expression(stmt.init.expr)
        with self.output.captured() as advance:
            if stmt.advance is not None:
                self.simple.expression(stmt.advance)
        condition = stmt.condition
        inside = condition is not None and self.steps.needs_statements(condition)
        test = "True" if condition is None or inside else self.expressions.expr(condition)
        self.output.line(f"while {test}:")
        if condition is not None and inside:
            with self.output.indented():
                self._exit_unless(condition)
        self._body(stmt.body, advance)
        with self.output.indented():
            self.output.write(advance)

    def write_foreach(self, stmt: ast.Foreach) -> None:
        """Write `foreach`."""
        collection = self.expressions.expr(stmt.collection)
        if isinstance(stmt.collection.type, StringType):
            collection = f"map(ord, {collection})"
        self.output.line(f"for {self.names.var(stmt.var)} in {collection}:")
        self._body(stmt.body)
