"""Switches."""

from __future__ import annotations

from pyfut.c.blocks import Blocks
from pyfut.c.expressions import Expressions
from pyfut.c.kit import Kit
from pyfut.checks.types import INT, EnumType, StringType, Type
from pyfut.syntax import ast
from pyfut.syntax.flow import has_own_break, without_final_break
from pyfut.syntax.walk import has_side_effects


class Switches:
    """Writes switches."""

    def __init__(self, kit: Kit, expressions: Expressions, blocks: Blocks) -> None:
        self.output = kit.output
        self.place = kit.place
        self.needs = kit.needs
        self.values = kit.values
        self.cleanups = kit.cleanups
        self.expressions = expressions
        self.blocks = blocks

    def write(self, stmt: ast.Switch) -> None:
        """Write a switch, one on strings as comparisons."""
        type_ = stmt.subject.type
        if isinstance(type_, StringType):
            self._write_strings(stmt)
            return
        self.output.line(f"switch ({self.expressions.expr(stmt.subject)}) {{")
        with self.place.jump("switch", len(self.cleanups)):
            for case in stmt.cases:
                self.output.write([f"case {self._label(label, type_)}:" for label in case.labels])
                self._case(case.body)
            if stmt.default is not None or isinstance(type_, EnumType):
                self.output.line("default:")
                self._case(stmt.default or [ast.Break(stmt.position)])
        self.output.line("}")

    def _label(self, label: ast.Expr, type_: Type) -> str:
        text = self.expressions.expr(label)
        return text if label.type == INT and text.startswith(("'", "0x")) else self.values.const(label.value, type_)

    def _case(self, body: list[ast.Stmt]) -> None:
        with self.output.indented():
            if any(isinstance(s, (ast.VarStmt, ast.ConstStmt)) for s in body):
                self.blocks.braces(body)
            else:
                self.blocks.scope(body)

    def _write_strings(self, stmt: ast.Switch) -> None:
        """Write comparisons; a `break` inside becomes a jump behind them."""
        subject = stmt.subject
        text = self.expressions.expr(subject)
        if has_side_effects(subject) or not isinstance(subject, ast.Name):
            text = self.expressions.temporaries.hoist(subject, "switch on this string", StringType(), text)
        self.needs.include("string.h")
        label = f"futswitch{self.place.labels}"
        self.place.labels += 1
        bodies = [without_final_break(case.body) for case in stmt.cases]
        default = without_final_break(stmt.default or [])
        with self.place.jump("strings", len(self.cleanups), label):
            keyword = "if"
            for case, body in zip(stmt.cases, bodies, strict=True):
                tests = [self._test(text, option) for option in case.labels]
                self._branch(f"{keyword} ({' || '.join(tests)})", body)
                keyword = "else if"
            if default:
                self._branch("else", default)
        if any(has_own_break(body) for body in [*bodies, default]):
            self.output.line(f"{label}: ;")

    def _test(self, text: str, option: ast.Expr) -> str:
        return f"{text} == NULL" if option.value is None else f"strcmp({text}, {self.expressions.expr(option)}) == 0"

    def _branch(self, header: str, body: list[ast.Stmt]) -> None:
        self.output.line(f"{header} {{")
        with self.output.indented():
            self.blocks.scope(body)
        self.output.line("}")
