"""Assignments, and other expressions that are statements."""

from __future__ import annotations

from pyfut.c.arrays import is_zero
from pyfut.c.expressions import Expressions
from pyfut.c.fresh import is_new_string, is_owned
from pyfut.c.hierarchy import base_path
from pyfut.c.kit import Kit
from pyfut.c.types import NARROW
from pyfut.checks.types import DOUBLE, FLOAT, STRING_STORAGE, ClassType, Type, is_dynamic
from pyfut.syntax import ast
from pyfut.syntax.walk import has_side_effects, without_fields


class Assignments:
    """Writes what has a side effect."""

    def __init__(self, kit: Kit, expressions: Expressions) -> None:
        self.output = kit.output
        self.place = kit.place
        self.needs = kit.needs
        self.names = kit.names
        self.types = kit.types
        self.expressions = expressions
        self.conversions = expressions.conversions
        self.ownership = expressions.ownership

    def inline(self, expr: ast.Expr) -> str:
        """Return an expression of the header of a `for`."""
        return self._plain(expr) if isinstance(expr, ast.Assign) else self.expressions.expr(expr)

    def write(self, expr: ast.Expr) -> None:
        """Write an expression whose value is not used."""
        match expr:
            case ast.Assign():
                self._assign(expr)
            case ast.Call(builtin="array.Fill") if not is_zero(expr.arguments[0]):
                self.expressions.arrays.write_fill(expr)
            case ast.Call() if is_owned(expr):
                self.output.line(f"{self.needs.helper('FuShared_Release')}({self.expressions.raw(expr)});")
            case ast.Call() if is_new_string(expr):
                self.needs.include("stdlib.h")
                self.output.line(f"free({self.expressions.raw(expr)});")
            case ast.Call(method=ast.MethodDecl(throws=[_, *_])):
                self.expressions.expr(expr)  # the call is written together with its check
            case _:
                self.output.line(f"{self.expressions.expr(expr)};")

    def _assign(self, expr: ast.Assign) -> None:
        type_ = expr.target.type
        if not is_dynamic(type_) and type_ != STRING_STORAGE:
            self.output.line(f"{self._plain(expr)};")
        elif isinstance(expr.source, ast.Assign):
            self.place.refuse(expr, f"chained assignment of '{type_}'")
        else:
            if has_side_effects(expr.target):
                self.place.refuse(expr, "side effect in the target of this assignment")
            value = self._owned_value(expr)
            self._replace(self.expressions.expr(expr.target), type_, value)

    def _plain(self, expr: ast.Assign) -> str:
        """Return an assignment, possibly chained, of values that need no releasing."""
        type_ = expr.target.type
        target = self.expressions.expr(expr.target)
        element = isinstance(expr.target, ast.Index)
        if expr.operator != "=":
            return f"{target} {expr.operator} {self.inline(expr.source)}"
        if isinstance(expr.source, ast.Assign):
            return f"{target} = {self._chained(expr.source, type_, element)}"
        return f"{target} = {self.conversions.coerce(expr.source, type_, element)}"

    def _chained(self, source: ast.Assign, type_: Type, element: bool) -> str:
        """Return an assignment whose value is assigned to something of a type."""
        text = self._plain(source)
        if element and type_ in NARROW and source.target.type != type_:
            return f"({NARROW[type_]}) ({text})"
        if type_ == FLOAT and source.target.type == DOUBLE:
            return f"(float) ({text})"
        return text

    def _owned_value(self, expr: ast.Assign) -> str:
        """Return the value of an assignment that gives up what the variable held before."""
        type_, source = expr.target.type, expr.source
        if isinstance(source, ast.New) and source.fields:
            return self.conversions.cast_up(self.initialized(source), source.type, type_)
        if is_dynamic(type_):
            return self.ownership.owned(source, type_)
        if expr.operator == "=":
            return self.ownership.owned_string(source)
        joined = ast.Binary(expr.position, "+", expr.target, source)
        joined.type = STRING_STORAGE
        return self.ownership.owned_string(joined)

    def _replace(self, target: str, type_: Type, value: str) -> None:
        """Write an assignment that gives up what the variable held before."""
        kind, cast = "FuString", ""
        if is_dynamic(type_):
            kind, cast = "FuShared", f"({self.types.spelled(type_)}) "
        self.output.line(f"{target} = {cast}{self.needs.helper(f'{kind}_Replace')}({target}, {value});")

    def initialized(self, new: ast.New) -> str:
        """Return a variable for a new object, after writing the values of its fields."""
        expressions = self.expressions
        name = expressions.temporaries.hoist(new, "object initializer", new.type, expressions.raw(without_fields(new)))
        self.field_values(f"{name}->", new)
        return name

    def field_values(self, path: str, init: ast.Expr | None) -> None:
        """Write the assignments of an object initializer."""
        if not isinstance(init, (ast.ObjectInit, ast.New)):
            return
        for part in init.fields:
            assert part.symbol is not None
            assert isinstance(init.type, ClassType)
            target = f"{path}{base_path(init.type.decl, part.symbol.owner)}{self.names.local(part.symbol.name)}"
            type_ = part.symbol.type
            if is_dynamic(type_):
                self._replace(target, type_, self.ownership.owned(part.expr, type_))
            elif type_ == STRING_STORAGE:
                self._replace(target, type_, self.ownership.owned_string(part.expr))
            else:
                self.output.line(f"{target} = {self.conversions.coerce(part.expr, type_)};")
