"""Arithmetic at compile time."""

from __future__ import annotations

from collections.abc import Callable

from pyfut.checks.types import INT, LONG, Integer, Type
from pyfut.syntax import ast


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


def fold_binary(operator: str, left: ast.Value, right: ast.Value) -> ast.Value:
    """Return the value of a binary operation, None where it is not known or not defined."""
    match left, right:
        case bool(), bool():
            return _fold_booleans(operator, left, right)
        case (bool(), _) | (_, bool()):
            return None
        case ast.EnumValue(), ast.EnumValue():
            if operator in ("==", "!="):
                return (left.number == right.number) == (operator == "==")
            return ARITHMETIC[operator](left.number, right.number) if operator in ("|", "&", "^") else None
        case str(), str():
            if operator == "+":
                return left + right
            return (left == right) == (operator == "==") if operator in ("==", "!=") else None
        case int() | float(), int() | float():
            return _fold_numbers(operator, left, right)
    return None


def _fold_booleans(operator: str, left: bool, right: bool) -> ast.Value:
    both, either = left and right, left or right
    table = {"&&": both, "&": both, "||": either, "|": either, "^": left != right, "!=": left != right}
    return left == right if operator == "==" else table.get(operator)


def _fold_numbers(operator: str, left: float, right: float) -> ast.Value:
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


def fold_unary(operator: str, operand: ast.Value) -> ast.Value:
    """Return the value of a prefix operation, None where it is not known."""
    match operator, operand:
        case "!", bool():
            return not operand
        case _, bool():
            return None
        case "~", int():
            return ~operand
        case "-", int() | float():
            return -operand
    return None


def fold_index(collection: ast.Value, index: ast.Value) -> ast.Value:
    """Return a character of a constant string or an element of a constant array."""
    if not isinstance(index, int) or not isinstance(collection, (str, list)) or not 0 <= index < len(collection):
        return None
    return ord(collection[index]) if isinstance(collection, str) else collection[index]


def integer_type(value: int) -> Type:
    """Return the type of an integer literal."""
    return INT if INT.minimum <= value <= INT.maximum else LONG


def wrap(value: int, type_: Integer) -> int:
    """Return `value` as it is stored in an `int` or a `long`."""
    bits = 32 if type_.maximum < 1 << 32 else 64
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))
