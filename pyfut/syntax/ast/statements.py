"""Statements."""

from __future__ import annotations

from dataclasses import dataclass

from pyfut.syntax.ast.declarations import ConstDecl, Var
from pyfut.syntax.ast.node import Expr, Node, Stmt


@dataclass(eq=False)
class Block(Stmt):
    """`{ statements }`."""

    statements: list[Stmt]


@dataclass(eq=False)
class ExprStmt(Stmt):
    """An expression with a side effect."""

    expr: Expr


@dataclass(eq=False)
class VarStmt(Stmt):
    """A definition of a local variable."""

    var: Var


@dataclass(eq=False)
class ConstStmt(Stmt):
    """A definition of a local constant."""

    const: ConstDecl


@dataclass(eq=False)
class If(Stmt):
    """`if`, with `else` or without."""

    condition: Expr
    on_true: Stmt
    on_false: Stmt | None


@dataclass(eq=False)
class While(Stmt):
    """`while`."""

    condition: Expr
    body: Stmt


@dataclass(eq=False)
class DoWhile(Stmt):
    """`do` ... `while`."""

    body: Stmt
    condition: Expr


@dataclass(eq=False)
class For(Stmt):
    """`for`; every part of the header may be missing."""

    init: Stmt | None
    condition: Expr | None
    advance: Expr | None
    body: Stmt


@dataclass(eq=False)
class Foreach(Stmt):
    """`foreach` over an array, the arguments of `Main` or a string."""

    var: Var
    collection: Expr
    body: Stmt


@dataclass(eq=False)
class Case(Node):
    """The labels and statements of a `case`."""

    labels: list[Expr]
    body: list[Stmt]


@dataclass(eq=False)
class Switch(Stmt):
    """`switch`; `default` is None when it is missing."""

    subject: Expr
    cases: list[Case]
    default: list[Stmt] | None


@dataclass(eq=False)
class Break(Stmt):
    """`break`."""


@dataclass(eq=False)
class Continue(Stmt):
    """`continue`."""


@dataclass(eq=False)
class Return(Stmt):
    """`return`."""

    expr: Expr | None


@dataclass(eq=False)
class Assert(Stmt):
    """`assert`, with its message."""

    condition: Expr
    message: Expr | None


@dataclass(eq=False)
class Throw(Stmt):
    """`throw name(message)`."""

    name: str
    message: Expr | None


@dataclass(eq=False)
class NativeStmt(Stmt):
    """A `native` block among statements."""

    text: str
