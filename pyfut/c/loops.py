"""Loops."""

from __future__ import annotations

from pyfut.c.assignments import Assignments
from pyfut.c.blocks import Blocks
from pyfut.c.expressions import Expressions
from pyfut.c.kit import Kit
from pyfut.c.variables import Variables
from pyfut.checks.types import (
    INT,
    LONG,
    STRING_STORAGE,
    ArrayType,
    ClassType,
    Kind,
    StringType,
    is_dynamic,
    is_storage,
)
from pyfut.syntax import ast
from pyfut.syntax.flow import statements_of


class Loops:
    """Writes loops."""

    def __init__(
        self, kit: Kit, expressions: Expressions, assignments: Assignments, variables: Variables, blocks: Blocks
    ) -> None:
        self.output = kit.output
        self.place = kit.place
        self.needs = kit.needs
        self.names = kit.names
        self.types = kit.types
        self.cleanups = kit.cleanups
        self.expressions = expressions
        self.conversions = expressions.conversions
        self.assignments = assignments
        self.variables = variables
        self.blocks = blocks

    def write_while(self, stmt: ast.While) -> None:
        """Write `while`."""
        self._controlled(f"while ({self.expressions.repeated(stmt.condition)})", stmt.body)

    def _controlled(self, header: str, body: ast.Stmt) -> None:
        with self.place.jump("loop", len(self.cleanups)):
            self.blocks.controlled(header, body)

    def write_do(self, stmt: ast.DoWhile) -> None:
        """Write `do` ... `while`."""
        self.output.line("do {")
        self._body(stmt.body)
        self.place.declarable = False
        self.output.line(f"}} while ({self.expressions.repeated(stmt.condition)});")

    def _body(self, body: ast.Stmt) -> None:
        with self.place.jump("loop", len(self.cleanups)), self.output.indented():
            self.blocks.scope(statements_of(body))

    def write_for(self, stmt: ast.For) -> None:
        """Write `for`."""
        init = ""
        match stmt.init:
            case ast.VarStmt():
                init = self._loop_variable(stmt, stmt.init.var)
            case ast.ExprStmt():
                init = self.assignments.inline(stmt.init.expr)
        with self.place.guarded():
            condition = f" {self.expressions.expr(stmt.condition)}" if stmt.condition is not None else ""
            advance = f" {self.assignments.inline(stmt.advance)}" if stmt.advance is not None else ""
        self._controlled(f"for ({init};{condition};{advance})", stmt.body)

    def _loop_variable(self, stmt: ast.For, var: ast.Var) -> str:
        if is_storage(var.type) or is_dynamic(var.type) or var.type == STRING_STORAGE:
            place = stmt.condition or var.init or ast.Name(stmt.position, "")
            self.place.refuse(place, f"'{var.type}' as a loop variable")
        value = f" = {self.conversions.coerce(var.init, var.type)}" if var.init is not None else ""
        return f"{self.types.declaration(var.type, self.names.var(var))}{value}"

    def write_foreach(self, stmt: ast.Foreach) -> None:
        """Write `foreach`, as a loop over an index or, for strings, over a pointer."""
        var, type_ = stmt.var, stmt.collection.type
        name = self.names.var(var)
        index = f"_{name}"
        collection = self.expressions.expr(stmt.collection)
        counted = f"for (int {index} = 0; {index} < {{}}; {index}++)"
        match type_:
            case StringType():
                self.needs.include("stdint.h")
                header = f"for (const char *{index} = {collection}; *{index} != '\\0'; {index}++)"
                value = f"(uint8_t) *{index}"
            case ArrayType(kind=Kind.STORAGE):
                header = counted.format(type_.length)
                value = self._element(f"{collection}[{index}]", type_.element, var)
            case _:
                header = counted.format("argc - 1")
                value = f"{collection}[{index}]"
        self.output.line(f"{header} {{")
        with self.output.indented():
            self.output.line(f"{self.types.declaration(var.type, name)} = {value};")
            self.variables.mark_unread(var)
        self._body(stmt.body)
        self.output.line("}")

    def _element(self, text: str, element: ast.Type, var: ast.Var) -> str:
        """Return an element of an array as the variable of the loop holds it."""
        if isinstance(element, ClassType) and is_storage(element):
            text = f"&{text}"
        text = self.conversions.cast_up(text, element, var.type)
        return f"(int) {text}" if element == LONG and var.type == INT else text
