"""Tokens to statements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyfut.errors import ParseError, Position
from pyfut.syntax import ast
from pyfut.syntax.definition_parser import DefinitionParser
from pyfut.syntax.expression_parser import ExpressionParser
from pyfut.syntax.token_stream import TokenStream


class StatementParser:
    """Reads statements."""

    def __init__(
        self,
        stream: TokenStream,
        expressions: ExpressionParser,
        definitions: DefinitionParser,
        program: ast.Program,
    ) -> None:
        self.stream = stream
        self.expressions = expressions
        self.definitions = definitions
        self.program = program
        self.enclosing: list[str] = []
        """The enclosing "loop" and "switch" statements."""

    # block = "{" { statement } "}"
    def block(self) -> ast.Block:
        """Read a block."""
        position = self.stream.position
        self.stream.expect("{")
        statements = self._statements("}")
        self.stream.expect("}")
        return ast.Block(position, statements)

    # { statement }, up to an end
    def _statements(self, *ends: str) -> list[ast.Stmt]:
        statements: list[ast.Stmt] = []
        while not self.stream.see(*ends):
            if self.stream.ended():
                raise self.stream.fail("Expected '}', got end-of-file")
            try:
                statements.append(self.statement())
            except ParseError:
                self.stream.skip_broken()
        return statements

    # statement = NATIVE | block | if | while | do | for | foreach | switch | return | assert | throw | jump
    #           | "const" const | simple ";"
    def statement(self) -> ast.Stmt:
        """Read one statement."""
        position, token = self.stream.position, self.stream.token
        if token.kind == "native":
            return ast.NativeStmt(position, self.stream.take().text)
        if self.stream.see("{"):
            return self.block()
        handler = {
            "if": self._if,
            "while": self._while,
            "do": self._do,
            "for": self._for,
            "foreach": self._foreach,
            "switch": self._switch,
            "return": self._return,
            "assert": self._assert,
            "throw": self._throw,
            "break": self._break,
            "continue": self._continue,
            "lock": self._lock,
        }.get(token.text if token.kind == "keyword" else "")
        if handler is not None:
            self.stream.take()
            return handler(position)
        if self.stream.eat("const"):
            owner = self.program.classes[-1]
            return ast.ConstStmt(position, self.definitions.const(owner, ast.Visibility.PRIVATE, []))
        simple = self._simple()
        self.stream.expect(";")
        return simple

    # simple = type NAME initial-value | assignment
    def _simple(self) -> ast.Stmt:
        """Read a definition of a variable, an assignment or another expression."""
        position = self.stream.position
        if self.stream.token.kind == "id":
            written = self.expressions.types.try_type()
            if written is not None:
                name_position = self.stream.position
                name = self.stream.identifier()
                init = self.definitions.initial_value()
                return ast.VarStmt(position, ast.Var(name_position, name, written, init, []))
        return ast.ExprStmt(position, self.expressions.assignment())

    # condition = "(" expression ")"
    def _condition(self) -> ast.Expr:
        self.stream.expect("(")
        condition = self.expressions.expression()
        self.stream.expect(")")
        return condition

    # if = "if" condition statement [ "else" statement ]
    def _if(self, position: Position) -> ast.Stmt:
        condition = self._condition()
        on_true = self.statement()
        return ast.If(position, condition, on_true, self.statement() if self.stream.eat("else") else None)

    @contextmanager
    def _inside(self, kind: str) -> Iterator[None]:
        self.enclosing.append(kind)
        try:
            yield
        finally:
            self.enclosing.pop()

    # body = statement
    def _body(self) -> ast.Stmt:
        """Read the body of a loop."""
        with self._inside("loop"):
            return self.statement()

    # while = "while" condition body
    def _while(self, position: Position) -> ast.Stmt:
        condition = self._condition()
        return ast.While(position, condition, self._body())

    # do = "do" body "while" condition ";"
    def _do(self, position: Position) -> ast.Stmt:
        body = self._body()
        self.stream.expect("while")
        condition = self._condition()
        self.stream.expect(";")
        return ast.DoWhile(position, body, condition)

    # for = "for" "(" [ simple ] ";" [ expression ] ";" [ assignment ] ")" body
    def _for(self, position: Position) -> ast.Stmt:
        self.stream.expect("(")
        init = None if self.stream.see(";") else self._simple()
        self.stream.expect(";")
        condition = None if self.stream.see(";") else self.expressions.expression()
        self.stream.expect(";")
        advance = None if self.stream.see(")") else self.expressions.assignment()
        self.stream.expect(")")
        return ast.For(position, init, condition, advance, self._body())

    # foreach = "foreach" "(" type NAME "in" expression ")" body
    def _foreach(self, position: Position) -> ast.Stmt:
        self.stream.expect("(")
        if self.stream.eat("("):
            raise self.stream.refuse(position, "foreach over a dictionary")
        written = self.expressions.types.type()
        var = ast.Var(self.stream.position, self.stream.identifier(), written, None, [])
        var.is_foreach = True
        self.stream.expect("in")
        collection = self.expressions.expression()
        self.stream.expect(")")
        return ast.Foreach(position, var, collection, self._body())

    # switch = "switch" condition "{" case { case } [ "default" ":" case-body ] "}"
    def _switch(self, position: Position) -> ast.Stmt:
        subject = self._condition()
        self.stream.expect("{")
        cases: list[ast.Case] = []
        default: list[ast.Stmt] | None = None
        with self._inside("switch"):
            while self.stream.see("case"):
                cases.append(self._case())
            if not cases:
                self.stream.diagnostics.error(self.stream.position, "Switch with no cases")
            if self.stream.eat("default"):
                self.stream.expect(":")
                default = self._case_body("default")
        self.stream.expect("}")
        return ast.Switch(position, subject, cases, default)

    # case = "case" case-label ":" { "case" case-label ":" } case-body
    def _case(self) -> ast.Case:
        position = self.stream.position
        labels: list[ast.Expr] = []
        while self.stream.eat("case"):
            labels.append(self._case_label())
            self.stream.expect(":")
        if self.stream.see("default"):
            raise self.stream.fail("Please remove 'case' before 'default'")
        return ast.Case(position, labels, self._case_body("case"))

    # case-label = ( expression | type NAME ) [ "when" expression ]
    def _case_label(self) -> ast.Expr:
        position = self.stream.position
        label: ast.Expr = ast.Literal(position, None, "null")
        if self.stream.token.kind == "id" and self.expressions.types.try_type() is not None:
            self.stream.diagnostics.unsupported(position, "switch on the type of an object")
            self.stream.identifier()
        else:
            label = self.expressions.expression()
        if self.stream.eat("when"):
            self.stream.diagnostics.unsupported(position, "'when'")
            self.expressions.expression()
        return label

    # case-body = statement { statement }
    def _case_body(self, label: str) -> list[ast.Stmt]:
        body = self._statements("case", "default", "}")
        if not body:
            message = f"'{label}' must end with 'break', 'continue', 'return' or 'throw'"
            self.stream.diagnostics.error(self.stream.position, message)
        return body

    # return = "return" [ expression ] ";"
    def _return(self, position: Position) -> ast.Stmt:
        expr = None if self.stream.see(";") else self.expressions.expression()
        self.stream.expect(";")
        return ast.Return(position, expr)

    # assert = "assert" expression [ "," expression ] ";"
    def _assert(self, position: Position) -> ast.Stmt:
        condition = self.expressions.expression()
        message = self.expressions.expression() if self.stream.eat(",") else None
        self.stream.expect(";")
        return ast.Assert(position, condition, message)

    # throw = "throw" NAME "(" [ expression ] ")" ";"
    def _throw(self, position: Position) -> ast.Stmt:
        name = self.stream.identifier()
        self.stream.expect("(")
        message = None if self.stream.see(")") else self.expressions.expression()
        self.stream.expect(")")
        self.stream.expect(";")
        return ast.Throw(position, name, message)

    # jump = ( "break" | "continue" ) ";"
    def _break(self, position: Position) -> ast.Stmt:
        if not self.enclosing:
            self.stream.diagnostics.error(position, "'break' outside loop or 'switch'")
        self.stream.expect(";")
        return ast.Break(position)

    # jump = ( "break" | "continue" ) ";"
    def _continue(self, position: Position) -> ast.Stmt:
        if "loop" not in self.enclosing:
            self.stream.diagnostics.error(position, "'continue' outside loop")
        self.stream.expect(";")
        return ast.Continue(position)

    # lock = "lock" ...
    def _lock(self, position: Position) -> ast.Stmt:
        raise self.stream.refuse(position, "lock")
