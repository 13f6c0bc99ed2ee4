"""Evaluation at compile time."""

from __future__ import annotations

from collections.abc import Callable

from pyfut.ast import (
    Binary,
    Call,
    ConstDecl,
    EnumValue,
    Expr,
    Index,
    Interpolated,
    Literal,
    Member,
    MethodDecl,
    Name,
    Return,
    Select,
    Unary,
    Value,
    Var,
)
from pyfut.types import INT, LONG, Integer, Type


def divide(left: int, right: int) -> int:
    """Divide rounding toward zero, as all targets do."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def remainder(left: int, right: int) -> int:
    """Return the remainder that takes the sign of the dividend."""
    return left - right * divide(left, right)


ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": divide,
    "%": remainder,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << b,
    ">>": lambda a, b: a >> b,
}
FLOATING: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def fold_binary(operator: str, left: Value, right: Value) -> Value:
    """Return the value of a binary operation, None where it is not known or not defined."""
    if isinstance(left, bool) and isinstance(right, bool):
        both, either = left and right, left or right
        table = {"&&": both, "&": both, "||": either, "|": either, "^": left != right, "!=": left != right}
        return left == right if operator == "==" else table.get(operator)
    if isinstance(left, EnumValue) and isinstance(right, EnumValue):
        if operator in ("==", "!="):
            return (left.number == right.number) == (operator == "==")
        return ARITHMETIC[operator](left.number, right.number) if operator in ("|", "&", "^") else None
    if isinstance(left, str) and isinstance(right, str):
        if operator == "+":
            return left + right
        return (left == right) == (operator == "==") if operator in ("==", "!=") else None
    if isinstance(left, bool) or isinstance(right, bool):
        return None
    if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
        return None
    if operator in COMPARISONS:
        return COMPARISONS[operator](left, right)
    if operator in ("/", "%") and right == 0:
        return None
    if isinstance(left, int) and isinstance(right, int):
        if operator in ("<<", ">>") and not 0 <= right < 64:
            return None
        value = ARITHMETIC[operator](left, right) if operator in ARITHMETIC else None
        return value if value is None or -(1 << 63) <= value < 1 << 63 else None
    return FLOATING[operator](left, right) if operator in FLOATING else None


def fold_unary(operator: str, operand: Value) -> Value:
    """Return the value of a prefix operation, None where it is not known."""
    if isinstance(operand, bool):
        return not operand if operator == "!" else None
    if isinstance(operand, int):
        return {"-": -operand, "~": ~operand}.get(operator)
    if isinstance(operand, float):
        return -operand if operator == "-" else None
    return None


def integer_type(value: int) -> Type:
    """Return the type of an integer literal."""
    return INT if INT.minimum <= value <= INT.maximum else LONG


def wrap(value: int, type_: Integer) -> int:
    """Return `value` as it is stored in an `int` or a `long`."""
    bits = 32 if type_.maximum < 1 << 32 else 64
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


class PureCall:
    """Evaluates a call of a static method that consists of one `return`."""

    def __init__(self, method: MethodDecl, arguments: list[Value], depth: int = 0) -> None:
        self.method = method
        self.depth = depth
        self.values: dict[str, Value] = dict(zip((p.name for p in method.parameters), arguments, strict=False))

    def evaluate(self) -> Value:
        """Return the result of the call or None."""
        if self.depth > 100 or not isinstance(self.method.body, Return) or self.method.body.expr is None:
            return None
        return self._eval(self.method.body.expr)

    def _eval(self, expr: Expr) -> Value:
        if isinstance(expr, Literal):
            return expr.literal
        if isinstance(expr, (Name, Member)):
            return self._name(expr)
        if isinstance(expr, Binary):
            left = self._eval(expr.left)
            if expr.operator in ("&&", "||") and isinstance(left, bool) and left == (expr.operator == "||"):
                return left
            return fold_binary(expr.operator, left, self._eval(expr.right))
        if isinstance(expr, Unary):
            return fold_unary(expr.operator, self._eval(expr.operand))
        if isinstance(expr, Select):
            condition = self._eval(expr.condition)
            return None if condition is None else self._eval(expr.on_true if condition else expr.on_false)
        if isinstance(expr, Index):
            return fold_index(self._eval(expr.object), self._eval(expr.index))
        if isinstance(expr, Interpolated):
            return None
        if isinstance(expr, Call):
            return self._call(expr)
        return None

    def _name(self, expr: Name | Member) -> Value:
        if isinstance(expr, Name) and expr.name in self.values:
            return self.values[expr.name]
        symbol = expr.symbol
        if symbol is None and isinstance(expr, Name):
            symbol = self.method.owner.find(expr.name)
        if isinstance(symbol, ConstDecl):
            return symbol.value
        if isinstance(symbol, Var):
            return self.values.get(symbol.name)
        return expr.value

    def _call(self, expr: Call) -> Value:
        callee = expr.method
        if callee is None and isinstance(expr.target, Name):
            found = self.method.owner.find(expr.target.name)
            callee = found if isinstance(found, MethodDecl) else None
        if callee is None or not callee.is_static:
            return expr.value
        arguments = [self._eval(argument) for argument in expr.arguments]
        if None in arguments or len(arguments) != len(callee.parameters):
            return None
        return PureCall(callee, arguments, self.depth + 1).evaluate()


def fold_index(collection: Value, index: Value) -> Value:
    """Return a character of a constant string or an element of a constant array."""
    if not isinstance(index, int):
        return None
    if isinstance(collection, str) and 0 <= index < len(collection):
        return ord(collection[index])
    if isinstance(collection, list) and 0 <= index < len(collection):
        return collection[index]
    return None
