"""Methods of arrays."""

from __future__ import annotations

from pyfut.checks.types import BYTE, ArrayType, Floating, Integer, is_storage
from pyfut.python.module import Module
from pyfut.python.precedence import COMPARISON, PRECEDENCE, PRIMARY
from pyfut.python.values import Values
from pyfut.python.whole import Whole
from pyfut.syntax import ast
from pyfut.syntax.walk import has_side_effects


class Arrays:
    """Writes calls of the methods of arrays."""

    def __init__(self, module: Module, values: Values, whole: Whole) -> None:
        self.module = module
        self.values = values
        self.whole = whole

    def value(self, expr: ast.Call, name: str) -> tuple[str, int]:
        """Return `Contains` or `BinarySearch`."""
        assert isinstance(expr.target, ast.Member)
        array = self.whole.expr(expr.target.object, PRIMARY)
        if name == "Contains":
            return f"{self.whole.expr(expr.arguments[0], COMPARISON + 1)} in {array}", COMPARISON
        assert name == "BinarySearch"
        self.refuse_side_effects(expr, name)
        arguments = [array, self.whole.expr(expr.arguments[0])]
        if len(expr.arguments) == 3:
            start, count = expr.arguments[1:]
            arguments += [self.whole.expr(start), self.end(start, count)]
        return f"{self.module.imported('bisect')}.bisect_left({', '.join(arguments)})", PRIMARY

    def statement(self, expr: ast.Call) -> str:
        """Return the line of `Fill`, `Sort` or `CopyTo`, or of another call whose result is not used."""
        name = expr.builtin.partition(".")[2]
        assert isinstance(expr.target, ast.Member)
        type_ = expr.target.object.type
        assert isinstance(type_, ArrayType)
        array = self.whole.expr(expr.target.object, PRIMARY)
        self.refuse_side_effects(expr, name)
        match name:
            case "Fill":
                return self._fill(expr, array, type_)
            case "Sort":
                return self._sort(expr, array, type_.element)
            case "CopyTo":
                return self._copy(expr, array, type_.element)
        return self.whole.expr(expr)

    def _fill(self, expr: ast.Call, array: str, type_: ArrayType) -> str:
        value = self.whole.coerce(expr.arguments[0], type_.element)
        if len(expr.arguments) == 1:
            return f"{array}[:] = {self.values.filled(type_.element, value, str(type_.length))}"
        start, count = expr.arguments[1:]
        filled = self.values.filled(type_.element, value, self.whole.expr(count))
        return f"{array}[{self.whole.expr(start)}:{self.end(start, count)}] = {filled}"

    def _sort(self, expr: ast.Call, array: str, element: ast.Type) -> str:
        part = ":" if not expr.arguments else f"{self.whole.expr(expr.arguments[0])}:{self.end(*expr.arguments)}"
        ordered = f"{self.module.builtin('sorted')}({array}{'' if part == ':' else f'[{part}]'})"
        if element == BYTE:
            return f"{array}[{part}] = bytes({ordered})"
        assert isinstance(element, (Integer, Floating))
        return f"{array}[{part}] = {self.values.numbers(element, ordered)}"

    def _copy(self, expr: ast.Call, array: str, element: ast.Type) -> str:
        start, destination, to, count = expr.arguments
        if is_storage(element):
            return self.module.refuse(expr, "CopyTo of storage elements")
        source = f"{array}[{self.whole.expr(start)}:{self.end(start, count)}]"
        return f"{self.whole.expr(destination, PRIMARY)}[{self.whole.expr(to)}:{self.end(to, count)}] = {source}"

    def refuse_side_effects(self, expr: ast.Call, name: str) -> None:
        """Refuse arguments that cannot be written twice, as in `start:start + count`."""
        if len(expr.arguments) > 1 and has_side_effects(expr.arguments):
            self.module.refuse(expr, f"side effect in the arguments of {name}")

    def end(self, start: ast.Expr, count: ast.Expr) -> str:
        """Return `start + count`."""
        if isinstance(start.value, int) and isinstance(count.value, int):
            return str(start.value + count.value)
        if start.value == 0:
            return self.whole.expr(count)
        return f"{self.whole.expr(start, PRECEDENCE['+'])} + {self.whole.expr(count, PRECEDENCE['+'] + 1)}"
