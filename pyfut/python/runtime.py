"""The functions and classes that generated modules may need."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Helper:
    """A piece of Python with the modules that it needs."""

    lines: tuple[str, ...]
    imports: tuple[str, ...] = ()


HELPERS: dict[str, Helper] = {
    "_div": Helper(
        (
            "def _div(a: int, b: int) -> int:",
            '\t"""Divide rounding toward zero."""',
            "\tquotient = abs(a) // abs(b)",
            "\treturn quotient if (a < 0) == (b < 0) else -quotient",
        )
    ),
    "_mod": Helper(
        (
            "def _mod(a: int, b: int) -> int:",
            '\t"""Return the remainder with the sign of the dividend."""',
            "\tremainder = abs(a) % abs(b)",
            "\treturn remainder if a >= 0 else -remainder",
        )
    ),
    "_round": Helper(
        (
            "def _round(a: float) -> int:",
            '\t"""Round to the nearest integer, halves away from zero."""',
            "\twhole = math.trunc(a)",
            "\treturn whole + math.trunc(2 * (a - whole))",
        ),
        ("math",),
    ),
    "_cbrt": Helper(
        (
            "def _cbrt(a: float) -> float:",
            '\t"""Return the cube root."""',
            "\troot = math.copysign(abs(a) ** (1 / 3), a)",
            "\treturn root if root == 0 or math.isinf(root) else root - (root - a / root / root) / 3",
        ),
        ("math",),
    ),
    "_fma": Helper(
        (
            "def _fma(a: float, b: float, c: float) -> float:",
            '\t"""Return a * b + c, rounded once."""',
            "\tif not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):",
            "\t\treturn a * b + c",
            "\treturn float(fractions.Fraction(a) * fractions.Fraction(b) + fractions.Fraction(c))",
        ),
        ("fractions", "math"),
    ),
    "_SwitchBreak": Helper(
        (
            "class _SwitchBreak(Exception):",
            '\t"""Leaves a match statement early."""',
        )
    ),
}
