"""Parentheses that the precedence of operators does not ask for, but that C compilers and readers do."""

from __future__ import annotations

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
"""For each operator, those that are put in parentheses inside its operands."""


def needs_clarity(outer: str, inner: str) -> bool:
    """Whether an operand of the operator `outer` with the operator `inner` is to be put in parentheses."""
    return inner in CLARIFIED.get(outer, ())
