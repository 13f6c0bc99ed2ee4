"""What can be printed, and in which formats."""

from __future__ import annotations

import re

from pyfut.checks.context import Context
from pyfut.checks.conversions import Conversions
from pyfut.checks.types import ERROR, PRINTABLE, ClassType, Floating, Integer, StringType
from pyfut.syntax import ast


class Formats:
    """Checks what becomes text."""

    def __init__(self, context: Context, conversions: Conversions) -> None:
        self.context = context
        self.conversions = conversions

    def check_format(self, part: ast.Interpolation) -> None:
        """Check an expression inside an interpolated string."""
        type_ = part.expr.type
        if type_ == ERROR:
            return
        match type_:
            case Integer():
                valid = re.fullmatch(r"[DdXx][0-9]*|", part.format)
                if part.format[:1] in ("U", "u") and part.format:
                    self.context.refuse(part.position, f"format '{part.format}'")
                    return
            case Floating():
                valid = re.fullmatch(r"[FfEe][0-9]*|", part.format)
            case StringType():
                valid = re.fullmatch(r"", part.format)
            case _:
                self.check_printable(part.expr)
                return
        if valid is None:
            self.context.error(part.position, "Invalid format")
        elif isinstance(type_, Integer) and part.width and part.format[1:]:
            self.context.error(part.position, "Cannot format an integer with both width and precision")

    def check_printable(self, expr: ast.Expr) -> None:
        """Refuse an object that would be converted to a string by its `ToString`."""
        if isinstance(expr.type, ClassType) and expr.type.decl.find("ToString") is not None:
            self.context.refuse(expr.position, "string conversion of an object")
        else:
            self.conversions.convert(expr, PRINTABLE)
