"""Statements."""

from __future__ import annotations

from pyfut.output import Output
from pyfut.python.expressions import Expressions
from pyfut.python.loops import Loops
from pyfut.python.module import Module
from pyfut.python.names import Names
from pyfut.python.simple_statements import SimpleStatements
from pyfut.python.values import Values
from pyfut.syntax import ast
from pyfut.syntax.flow import has_own_break, statements_of, without_final_break
from pyfut.syntax.walk import without_fields


class Statements:
    """Writes statements."""

    def __init__(
        self,
        output: Output,
        module: Module,
        names: Names,
        values: Values,
        expressions: Expressions,
        simple: SimpleStatements,
    ) -> None:
        self.output = output
        self.module = module
        self.names = names
        self.values = values
        self.expressions = expressions
        self.simple = simple
        self.loops = Loops(output, names, expressions, simple, self.suite)

    def body(self, stmt: ast.Stmt | None) -> None:
        """Write the body of a method."""
        self.simple.annotated = set()
        self._sequence(statements_of(stmt))

    def _sequence(self, statements: list[ast.Stmt]) -> None:
        for stmt in statements:
            self._statement(stmt)

    def suite(self, statements: list[ast.Stmt]) -> None:
        """Write an indented block, which must not be empty."""
        with self.output.indented():
            start = len(self.output.lines)
            self._sequence(statements)
            if not any(line.strip() and not line.strip().startswith("#") for line in self.output.lines[start:]):
                self.output.line("pass")

    def _statement(self, stmt: ast.Stmt) -> None:
        match stmt:
            case ast.Block():
                self._sequence(stmt.statements)
            case ast.ExprStmt():
                self.simple.expression(stmt.expr)
            case ast.VarStmt():
                self.simple.var(stmt.var)
            case ast.If():
                self.output.line(f"if {self.simple.condition(stmt.condition)}:")
                self._branches(stmt)
            case ast.While():
                self.loops.write_while(stmt)
            case ast.DoWhile():
                self.loops.write_do(stmt)
            case ast.For():
                self.loops.write_for(stmt)
            case ast.Foreach():
                self.loops.write_foreach(stmt)
            case ast.Switch():
                self._switch(stmt)
            case ast.Break():
                in_switch = self.loops.enclosing[-1] == "switch"
                self.output.line(f"raise {self.module.helper('_SwitchBreak')}" if in_switch else "break")
            case ast.Continue():
                self.loops.write_continue()
            case ast.Return():
                self._return(stmt)
            case ast.Assert():
                self._assert(stmt)
            case ast.Throw():
                message = self.expressions.expr(stmt.message) if stmt.message is not None else ""
                self.output.line(f"raise {self.names.exception(stmt.name)}({message})")
            case ast.NativeStmt():
                self.output.verbatim(stmt.text)
            case _:
                assert isinstance(stmt, ast.ConstStmt), type(stmt)  # constants belong to the class

    def _branches(self, stmt: ast.If) -> None:
        """Write what follows the condition of an `if`."""
        self.suite(statements_of(stmt.on_true))
        on_false = stmt.on_false
        if isinstance(on_false, ast.If) and not self.expressions.steps.needs_statements(on_false.condition):
            self.output.line(f"elif {self.expressions.expr(on_false.condition)}:")
            self._branches(on_false)
        elif on_false is not None:
            self.output.line("else:")
            self.suite(statements_of(on_false))

    def _switch(self, stmt: ast.Switch) -> None:
        bodies = [without_final_break(case.body) for case in stmt.cases]
        default = without_final_break(stmt.default or [])
        subject = self.simple.condition(stmt.subject)
        if not any(has_own_break(body) for body in [*bodies, default]):
            self._match(stmt, subject, bodies, default)
            return
        self.output.line("try:")
        with self.output.indented():
            self._match(stmt, subject, bodies, default)
        self.output.line("except _SwitchBreak:")
        self.output.line("\tpass")

    def _match(self, stmt: ast.Switch, subject: str, bodies: list[list[ast.Stmt]], default: list[ast.Stmt]) -> None:
        self.loops.enclosing.append("switch")
        self.output.line(f"match {subject}:")
        with self.output.indented():
            for case, body in zip(stmt.cases, bodies, strict=True):
                patterns = [self.values.const(label.value, stmt.subject.type) for label in case.labels]
                self.output.line(f"case {' | '.join(patterns)}:")
                self.suite(body)
            if default:
                self.output.line("case _:")
                self.suite(default)
        self.loops.enclosing.pop()

    def _return(self, stmt: ast.Return) -> None:
        assert self.module.method is not None
        if stmt.expr is None:
            self.output.line("return")
            return
        self.expressions.steps.plan(stmt.expr)
        text = self.expressions.coerce(without_fields(stmt.expr), self.module.method.type)
        before, after = self.expressions.steps.take()
        self.output.write(before)
        if not after and not (isinstance(stmt.expr, ast.New) and stmt.expr.fields):
            self.output.line(f"return {text}")
            return
        self.output.line(f"result = {text}")
        self.simple.field_values("result", stmt.expr)
        self.output.write(after)
        self.output.line("return result")

    def _assert(self, stmt: ast.Assert) -> None:
        condition = stmt.condition
        if isinstance(condition, ast.Is) and condition.variable is not None:
            self.output.line(f"{self.names.var(condition.variable)} = {self.expressions.expr(condition.object)}")
            return
        message = f", {self.expressions.expr(stmt.message)}" if stmt.message is not None else ""
        self.output.line(f"assert {self.simple.condition(condition)}{message}")
