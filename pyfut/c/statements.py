"""Statements, with the lifetimes of what they create."""

from __future__ import annotations

from pyfut.c.assignments import Assignments
from pyfut.c.blocks import Blocks
from pyfut.c.expressions import Expressions
from pyfut.c.kit import Kit
from pyfut.c.lifetimes import Lifetimes
from pyfut.c.loops import Loops
from pyfut.c.returns import Returns
from pyfut.c.switches import Switches
from pyfut.c.variables import Variables
from pyfut.checks.types import VOID, is_dynamic
from pyfut.syntax import ast


class Statements:
    """Writes statements, each kind by the class that knows about it."""

    def __init__(self, kit: Kit, expressions: Expressions, lifetimes: Lifetimes) -> None:
        self.output = kit.output
        self.place = kit.place
        self.needs = kit.needs
        self.names = kit.names
        self.types = kit.types
        self.cleanups = kit.cleanups
        self.expressions = expressions
        self.exceptions = expressions.exceptions
        self.assignments = Assignments(kit, expressions)
        self.variables = Variables(kit, expressions, lifetimes, self.assignments)
        self.blocks = Blocks(kit, self.write)
        self.loops = Loops(kit, expressions, self.assignments, self.variables, self.blocks)
        self.switches = Switches(kit, expressions, self.blocks)
        self.returns = Returns(kit, expressions, self.assignments)

    def write(self, stmt: ast.Stmt) -> None:
        """Write a statement."""
        self.place.start_statement()
        match stmt:
            case ast.Block():
                self.blocks.braces(stmt.statements)
            case ast.ExprStmt():
                self.assignments.write(stmt.expr)
            case ast.VarStmt():
                self.variables.define(stmt.var)
            case ast.ConstStmt():
                self.variables.define_const(stmt.const)
            case ast.If():
                self._if(stmt)
            case ast.While():
                self.loops.write_while(stmt)
            case ast.DoWhile():
                self.loops.write_do(stmt)
            case ast.For():
                self.loops.write_for(stmt)
            case ast.Foreach():
                self.loops.write_foreach(stmt)
            case ast.Switch():
                self.switches.write(stmt)
            case ast.Break():
                self._break()
            case ast.Continue():
                self.cleanups.leave(next(jump.depth for jump in reversed(self.place.jumps) if jump.kind == "loop"))
                self.output.line("continue;")
            case ast.Return():
                self.returns.write(stmt)
            case ast.Assert():
                self._assert(stmt)
            case ast.Throw():
                self.exceptions.fail()
            case _:
                assert isinstance(stmt, ast.NativeStmt), type(stmt)
                self.output.verbatim(stmt.text)

    def _if(self, stmt: ast.If, keyword: str = "if") -> None:
        self.place.declarable = keyword == "if"
        write = self.expressions.expr if keyword == "if" else self.expressions.repeated
        condition = write(stmt.condition)
        nested = isinstance(stmt.on_true, (ast.If, ast.For, ast.While, ast.Foreach))
        braces = nested and stmt.on_false is not None  # so that the `else` goes with this `if`
        self.blocks.controlled(f"{keyword} ({condition})", stmt.on_true, always_braces=braces)
        if isinstance(stmt.on_false, ast.If):
            self._if(stmt.on_false, "else if")
        elif stmt.on_false is not None:
            self.blocks.controlled("else", stmt.on_false)

    def _break(self) -> None:
        jump = self.place.jumps[-1]
        self.cleanups.leave(jump.depth)
        self.output.line(f"goto {jump.label};" if jump.kind == "strings" else "break;")

    def _assert(self, stmt: ast.Assert) -> None:
        self.needs.include("assert.h")
        condition = stmt.condition
        if isinstance(condition, ast.Is) and condition.variable is not None:
            self._cast_down(condition, condition.variable)
            return
        text = self.expressions.expr(condition)
        if stmt.message is not None:
            if not isinstance(stmt.message.value, str):
                self.place.refuse(stmt.message, "assertion message that is not a literal")
            text = f"{self.expressions.expr(condition, 6)} && {self.expressions.expr(stmt.message)}"
        self.output.line(f"assert({text});")
        assert self.place.method is not None
        if condition.value is False and self.place.method.type != VOID:
            self.needs.include("stdlib.h")
            self.output.line("abort();")

    def _cast_down(self, condition: ast.Is, var: ast.Var) -> None:
        """Write the variable of `assert x is C c`; C does not know the class of an object."""
        if is_dynamic(var.type):
            self.place.refuse(condition, "assertion of the class of a dynamic reference")
        value = f"({self.types.spelled(var.type)}) {self.expressions.expr(condition.object)}"
        self.output.line(f"{self.types.declaration(var.type, self.names.var(var))} = {value};")
        self.variables.mark_unread(var)
