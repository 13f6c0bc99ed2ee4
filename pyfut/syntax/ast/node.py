"""What all parts of the syntax tree have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

from pyfut.errors import Position


@dataclass(frozen=True)
class Type:
    """The type of an expression or a declaration, which the checks find out; this class itself stands for an error."""

    @property
    def nullable(self) -> bool:
        """Whether `null` is a value of the type."""
        return False

    def __str__(self) -> str:
        return "error"


ERROR = Type()
"""The type of what is wrong or has not been checked."""


@dataclass(eq=False)
class Node:
    """Anything with a place in the source."""

    position: Position


@dataclass(eq=False)
class Symbol(Node):
    """Anything that a name may stand for."""


Value = Union[bool, int, float, str, Symbol, "list[Value]", None]
"""A compile-time value; a symbol is a member of an enumeration, None is "not known"."""


@dataclass(eq=False)
class Expr(Node):
    """An expression with its type and, where known, its compile-time value."""

    type: Type = field(default=ERROR, init=False)
    value: Value = field(default=None, init=False)


@dataclass(eq=False)
class Stmt(Node):
    """A statement."""
