"""Statements without other statements inside: definitions, assignments, calls."""

from __future__ import annotations

from pyfut.checks.types import STRING_STORAGE, is_storage
from pyfut.output import Output
from pyfut.python.expressions import Expressions
from pyfut.python.names import Names
from pyfut.python.types import Types
from pyfut.python.values import Values
from pyfut.syntax import ast
from pyfut.syntax.walk import without_fields


class SimpleStatements:
    """Writes what assigns, and conditions."""

    def __init__(self, output: Output, names: Names, types: Types, values: Values, expressions: Expressions) -> None:
        self.output = output
        self.names = names
        self.types = types
        self.values = values
        self.expressions = expressions
        self.steps = expressions.steps
        self.annotated: set[str] = set()
        """Local variables of the method that already have an annotation."""

    def expression(self, expr: ast.Expr) -> None:
        """Write an expression with a side effect."""
        match expr:
            case ast.Unary() | ast.Postfix() if expr.operator in ("++", "--"):
                self.steps.plan(expr.operand)
                lines = [f"{self.expressions.expr(expr.operand)} {expr.operator[0]}= 1"]
            case ast.Assign():
                self.steps.plan(expr)
                lines = self._assignment(expr)
            case ast.Call() if expr.builtin.startswith("array."):
                self.steps.plan(expr)
                lines = [self.expressions.arrays.statement(expr)]
            case _:
                self.steps.plan(expr)
                lines = [self.expressions.expr(expr)]
        self._write(lines)

    def _write(self, lines: list[str]) -> None:
        """Write lines, with the increments taken out of their expressions around them."""
        before, after = self.steps.take()
        self.output.write(before + lines + after)

    def _assignment(self, expr: ast.Assign) -> list[str]:
        targets: list[ast.Expr] = [expr.target]
        source = expr.source
        while isinstance(source, ast.Assign):
            if expr.operator != "=" or source.operator != "=":
                assert isinstance(expr.source, ast.Assign)
                outer = ast.Assign(expr.position, expr.operator, expr.target, expr.source.target)
                return self._assignment(expr.source) + self._assignment(outer)
            targets.append(source.target)
            source = source.source
        if expr.operator != "=":
            return [self.expressions.operators.compound(expr)]
        value = self.expressions.coerce(without_fields(source), targets[-1].type)
        names = [self.expressions.expr(target) for target in targets]
        lines = [" = ".join([*names, value])]
        if isinstance(source, ast.New):
            lines += self._field_values(names[0], source)
        return lines

    def var(self, var: ast.Var) -> None:
        """Write the definition of a variable; one without a value needs none."""
        name = self.names.var(var)
        init = var.init
        if is_storage(var.type) or (init is None and var.type == STRING_STORAGE):
            text = self.values.storage(var.type)
        elif init is not None:
            self.steps.plan(init)
            text = self.expressions.coerce(without_fields(init), var.type)
        else:
            return
        annotation = "" if name in self.annotated else f": {self.types.annotation(var.type)}"
        self.annotated.add(name)
        self._write([f"{name}{annotation} = {text}"])
        self.field_values(name, init)

    def field_values(self, name: str, init: ast.Expr | None) -> None:
        """Write the assignments of an object initializer."""
        if isinstance(init, (ast.ObjectInit, ast.New)):
            self.output.write(self._field_values(name, init))

    def _field_values(self, name: str, init: ast.ObjectInit | ast.New) -> list[str]:
        lines: list[str] = []
        for part in init.fields:
            assert part.symbol is not None
            value = self.expressions.coerce(part.expr, part.symbol.type)
            lines.append(f"{name}.{self.names.member(part.symbol)} = {value}")
        return lines

    def condition(self, expr: ast.Expr) -> str:
        """Return a condition as text, after writing what has to be executed before it is tested."""
        self.steps.plan(expr, in_condition=True)
        text = self.expressions.expr(expr)
        before, after = self.steps.take()
        self.output.write(before)
        if not after:
            return text
        self.output.write([f"condition_ = {text}", *after])
        return "condition_"
