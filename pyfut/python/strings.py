"""Interpolated strings."""

from __future__ import annotations

from pyfut.naming import escape
from pyfut.python.whole import Whole
from pyfut.syntax import ast


class Strings:
    """Writes interpolated strings."""

    def __init__(self, whole: Whole) -> None:
        self.whole = whole

    def interpolated(self, expr: ast.Interpolated) -> str:
        """Return an f-string, or a call of `format` where an expression contains quotes."""
        values = [self.whole.expr(part.expr) for part in expr.parts if isinstance(part, ast.Interpolation)]
        inline = not any(c in value for value in values for c in "\"'\\")
        remaining = iter(values)
        text = ""
        for part in expr.parts:
            if isinstance(part, str):
                text += escape(part)[1:-1].replace("{", "{{").replace("}", "}}")
            else:
                text += f"{{{next(remaining) if inline else ''}{self._format(part)}}}"
        return f'f"{text}"' if inline else f'"{text}".format({", ".join(values)})'

    @staticmethod
    def _format(part: ast.Interpolation) -> str:
        spec = ""
        letter, digits = part.format[:1], part.format[1:]
        if part.width:
            align = "<" if part.width < 0 else ">"
            spec = f"{align}{abs(part.width)}"
        if letter in ("X", "x"):
            spec += f"0{digits}{letter}" if digits else letter
        elif letter in ("D", "d"):
            spec += f"0{digits}d" if digits else "d"
        elif letter:
            spec += f".{digits or 6}{letter}"
        return f":{spec}" if spec else ""
