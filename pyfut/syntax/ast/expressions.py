"""Expressions."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyfut.syntax.ast.declarations import FieldDecl, MethodDecl, TypeNode, Var
from pyfut.syntax.ast.node import Expr, Node, Symbol


@dataclass(eq=False)
class Literal(Expr):
    """A number, character, string, `true`, `false` or `null`; `text` is its spelling."""

    literal: bool | int | float | str | None
    text: str


@dataclass(eq=False)
class Interpolation(Node):
    """`{expr,width:format}` inside an interpolated string."""

    expr: Expr
    width: int
    format: str


@dataclass(eq=False)
class Interpolated(Expr):
    """An interpolated string."""

    parts: list[str | Interpolation]


@dataclass(eq=False)
class Name(Expr):
    """An identifier, `this` or `base`."""

    name: str
    symbol: Symbol | None = field(default=None, init=False)


@dataclass(eq=False)
class Member(Expr):
    """`object.name`."""

    object: Expr
    name: str
    symbol: Symbol | None = field(default=None, init=False)


@dataclass(eq=False)
class Index(Expr):
    """`object[index]`."""

    object: Expr
    index: Expr


@dataclass(eq=False)
class Call(Expr):
    """`target(arguments)`; `builtin` names a method of the standard library, such as `Math.Sqrt`."""

    target: Name | Member
    arguments: list[Expr]
    method: MethodDecl | None = field(default=None, init=False)
    builtin: str = field(default="", init=False)


@dataclass(eq=False)
class Unary(Expr):
    """A prefix operator; `++` and `--` included."""

    operator: str
    operand: Expr


@dataclass(eq=False)
class Postfix(Expr):
    """`operand++` or `operand--`."""

    operator: str
    operand: Expr


@dataclass(eq=False)
class Binary(Expr):
    """A binary operator."""

    operator: str
    left: Expr
    right: Expr


@dataclass(eq=False)
class Assign(Expr):
    """`target operator value`; the value may be another assignment."""

    operator: str
    target: Expr
    source: Expr


@dataclass(eq=False)
class Select(Expr):
    """`condition ? on_true : on_false`."""

    condition: Expr
    on_true: Expr
    on_false: Expr


@dataclass(eq=False)
class FieldInit(Node):
    """`name = expr` of an object initialiser."""

    name: str
    expr: Expr
    symbol: FieldDecl | None = field(default=None, init=False)


@dataclass(eq=False)
class New(Expr):
    """`new type { fields }`."""

    written: TypeNode
    fields: list[FieldInit]


@dataclass(eq=False)
class Is(Expr):
    """`object is type name`; without a name only the class is tested."""

    object: Expr
    written: TypeNode
    variable: Var | None


@dataclass(eq=False)
class Aggregate(Expr):
    """`{ items }` of a constant array."""

    items: list[Expr]


@dataclass(eq=False)
class Resource(Expr):
    """`resource<byte[]>(name)`: the bytes of a file."""

    name: Expr
    content: bytes = field(default=b"", init=False)


@dataclass(eq=False)
class ObjectInit(Expr):
    """`{ fields }` of an object storage."""

    fields: list[FieldInit]
