"""What the targets have in common: lines, indentation and parentheses."""

from __future__ import annotations

from pyfut.ast import Binary, ClassDecl, Expr, Program
from pyfut.errors import Diagnostics

CLARIFIED = {
    "<<": ("+", "-"),
    ">>": ("+", "-"),
    "&": ("+", "-"),
    "^": ("+", "-", "&"),
    "|": ("+", "-", "&", "^"),
    "||": ("&&",),
    "==": ("==", "!=", "<", "<=", ">", ">="),
    "!=": ("==", "!=", "<", "<=", ">", ">="),
}
"""Operands that get parentheses although the precedence does not ask for them, as C compilers advise."""


class Generator:
    """Collects the lines of a target file."""

    def __init__(self, program: Program, diagnostics: Diagnostics, prefix: str) -> None:
        self.program = program
        self.diagnostics = diagnostics
        self.prefix = prefix
        self.lines: list[str] = []
        self.depth = 0

    def line(self, text: str = "") -> None:
        """Add a line at the current indentation."""
        self.lines.append("\t" * self.depth + text if text else "")

    def verbatim(self, text: str) -> None:
        """Add a native block: its first line at the current indentation, the others as they are."""
        first, *others = text.split("\n")
        if first.strip():
            self.line(first.strip())
        if others and not others[-1].strip():
            others.pop()
        self.lines += [other.rstrip() for other in others]

    def unsupported(self, expr: Expr, construct: str, target: str) -> str:
        """Refuse a construct; return a placeholder."""
        self.diagnostics.unsupported(expr.position, f"{construct} in {target}")
        return "0"

    def classes_bases_first(self) -> list[ClassDecl]:
        """Return the emitted classes, every base before the classes derived from it."""
        ordered: list[ClassDecl] = []

        def add(decl: ClassDecl) -> None:
            if decl in ordered or decl not in self.program.classes:
                return
            if decl.base is not None:
                add(decl.base)
            ordered.append(decl)

        for decl in self.program.classes:
            add(decl)
        return [decl for decl in ordered if decl.emitted]


def needs_clarity(operator: str, operand: Expr) -> bool:
    """Whether to put an operand in parentheses for the reader."""
    return isinstance(operand, Binary) and operand.operator in CLARIFIED.get(operator, ())
