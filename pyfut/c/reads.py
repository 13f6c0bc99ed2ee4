"""What a method reads, as far as it is written in C, so that the C compiler can be told of what it does not."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyfut.c.settled import settled
from pyfut.checks.types import StringType, is_storage
from pyfut.syntax import ast
from pyfut.syntax.walk import children, is_named, native_words


@dataclass
class Reads:
    """The variables that a method reads, and whether it needs its object and the number of the program's arguments."""

    variables: set[ast.Var] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    """The words of native blocks, which may name variables."""
    this: bool = False
    argument_count: bool = False

    @classmethod
    def of(cls, method: ast.MethodDecl | None) -> Reads:
        """Return what the body of a method reads."""
        reads = cls()
        if method is not None:
            reads.words = native_words(method.body)
            reads.this = "self" in reads.words
            reads._visit(method.body)
        return reads

    def has(self, var: ast.Var) -> bool:
        """Whether the value of a variable is used."""
        return var in self.variables or is_named(var, self.words)

    def _visit(self, node: object) -> None:
        match node:
            case ast.ConstStmt() | ast.Throw():
                return  # constants are written as their values, messages not at all
            case ast.Binary() if settled(node) is not None:
                return
            case ast.ExprStmt():
                self._visit_effect(node.expr)
                return
            case ast.For():
                self._visit([node.init, node.condition, node.body])
                self._visit_effect(node.advance)
                return
            case ast.Assign():
                self._visit_target(node.target)
                self._visit(node.source)
                return
            case ast.Member(symbol=ast.BuiltinMember()):
                self._visit_length(node)
                return
            case ast.Call(target=ast.Name()):
                self.this |= node.method is not None and not node.method.is_static
                self._visit(node.arguments)
                return
            case ast.Foreach():
                self.argument_count |= not isinstance(node.collection.type, StringType) and not is_storage(
                    node.collection.type
                )
            case ast.Name():
                self._visit_name(node)
        for child in children(node):
            self._visit(child)

    def _visit_name(self, name: ast.Name) -> None:
        match name.symbol:
            case ast.Var() as var:
                self.variables.add(var)
            case ast.FieldDecl():
                self.this = True
        self.this |= name.name in ("this", "base")

    def _visit_effect(self, expr: ast.Expr | None) -> None:
        """Visit an expression whose value is not used."""
        match expr:
            case ast.Unary(operator="++" | "--") | ast.Postfix():
                self._visit_target(expr.operand)
            case _:
                self._visit(expr)

    def _visit_target(self, target: ast.Expr) -> None:
        """Visit what is modified, which does not count as reading a variable."""
        if not (isinstance(target, ast.Name) and isinstance(target.symbol, ast.Var)):
            self._visit(target)

    def _visit_length(self, length: ast.Member) -> None:
        """Visit a member of the standard library: constants, and the lengths of storages, are written as numbers."""
        if length.value is not None:
            return
        if isinstance(length.object.type, StringType):
            self._visit(length.object)
        else:
            self.argument_count = True
