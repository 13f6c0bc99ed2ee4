"""Tokens to expressions."""

from __future__ import annotations

from pyfut.errors import ParseError, Position
from pyfut.naming import words
from pyfut.syntax import ast
from pyfut.syntax.token_stream import TokenStream
from pyfut.syntax.tokens import Token
from pyfut.syntax.type_parser import GENERIC_TYPES, TypeParser

BINARY_LEVELS = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<", "<=", ">", ">=", "is"),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)
"""Operators from those that bind loosest to those that bind tightest."""
ASSIGNMENTS = words("= += -= *= /= %= &= |= ^= <<= >>=")


class ExpressionParser:
    """Reads expressions."""

    def __init__(self, stream: TokenStream) -> None:
        self.stream = stream
        self.types = TypeParser(stream, self.expression)

    # assignment = expression [ ( "=" | "+=" | ... ) assignment ]
    def assignment(self) -> ast.Expr:
        """Read an assignment or another expression."""
        position = self.stream.position
        target = self.expression()
        operator = self.stream.eat(*ASSIGNMENTS)
        return ast.Assign(position, operator, target, self.assignment()) if operator else target

    # expression = binary [ "?" expression ":" expression ]
    def expression(self) -> ast.Expr:
        """Read an expression without an assignment."""
        condition = self._binary(0)
        position = self.stream.position
        if self.stream.eat("?"):
            on_true = self.expression()
            self.stream.expect(":")
            return ast.Select(position, condition, on_true, self.expression())
        return condition

    # binary = tighter { operator tighter | "is" type [ NAME ] }, on each of the levels; the tightest is unary
    def _binary(self, level: int) -> ast.Expr:
        if level == len(BINARY_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self.stream.see(*BINARY_LEVELS[level]):
            position, operator = self.stream.position, self.stream.take().text
            if operator == "is":
                left = self._is(position, left)
            else:
                left = ast.Binary(position, operator, left, self._binary(level + 1))
        return left

    # ... "is" type [ NAME ]
    def _is(self, position: Position, left: ast.Expr) -> ast.Expr:
        written = self.types.type()
        variable = None
        if self.stream.token.kind == "id":
            variable = ast.Var(self.stream.position, self.stream.identifier(), written, None, [])
        return ast.Is(position, left, written, variable)

    # unary = ( "-" | "~" | "!" | "++" | "--" ) unary | "new" type field-values | ( "new" type | primary ) postfix
    def _unary(self) -> ast.Expr:
        position = self.stream.position
        if operator := self.stream.eat("-", "~", "!", "++", "--"):
            return ast.Unary(position, operator, self._unary())
        if self.stream.eat("new"):
            written = self.types.type()
            if self.stream.see("{"):
                return ast.New(position, written, self.field_values())
            return self._postfix(ast.New(position, written, []))
        return self._postfix(self._primary())

    # field-values = "{" { field-value "," } [ field-value ] "}"
    def field_values(self) -> list[ast.FieldInit]:
        """Read the values of the fields of a new object."""
        return self.stream.braced(self._field_value)

    # field-value = NAME "=" expression
    def _field_value(self) -> ast.FieldInit:
        position = self.stream.position
        name = self.stream.identifier()
        self.stream.expect("=")
        return ast.FieldInit(position, name, self.expression())

    # postfix = { "." NAME | "[" expression "]" | arguments | "++" | "--" }
    def _postfix(self, expr: ast.Expr) -> ast.Expr:
        while True:
            position = self.stream.position
            if self.stream.eat("."):
                expr = ast.Member(position, expr, self.stream.identifier())
            elif self.stream.eat("["):
                expr = ast.Index(position, expr, self.expression())
                self.stream.expect("]")
            elif self.stream.eat("("):
                expr = self._call(position, expr)
            elif operator := self.stream.eat("++", "--"):
                expr = ast.Postfix(position, operator, expr)
            elif self.stream.see("!"):
                raise self.stream.fail("Unexpected '!'")
            else:
                return expr

    # arguments = "(" [ argument { "," argument } ] ")"
    def _call(self, position: Position, target: ast.Expr) -> ast.Expr:
        arguments = [] if self.stream.see(")") else self.stream.list_of(self._argument)
        self.stream.expect(")")
        if not isinstance(target, (ast.Name, ast.Member)):
            self.stream.diagnostics.error(position, "Expected a method")
            raise ParseError
        return ast.Call(position, target, arguments)

    # argument = expression
    def _argument(self) -> ast.Expr:
        argument = self.expression()
        if self.stream.see("=>"):
            raise self.stream.refuse(self.stream.position, "lambda expression")
        return argument

    # primary = INT | FLOAT | CHAR | STRING | INTERPOLATED | "true" | "false" | "null" | "this" | "base" | NAME
    #         | resource | "(" expression ")"
    def _primary(self) -> ast.Expr:
        token, position = self.stream.token, self.stream.position
        match token.kind, token.text:
            case "int" | "float" | "char" | "string", _:
                self.stream.take()
                return ast.Literal(position, token.value, token.text)
            case "interpolated", _:
                self.stream.take()
                return self._interpolated(token)
            case "id", name:
                self.stream.take()
                if name in GENERIC_TYPES and self.stream.see("<"):
                    raise self.stream.refuse(position, name)
                return self._resource(position) if name == "resource" else ast.Name(position, name)
            case "keyword", ("true" | "false" | "null") as text:
                self.stream.take()
                return ast.Literal(position, {"true": True, "false": False}.get(text), text)
            case "keyword", ("this" | "base") as name:
                self.stream.take()
                return ast.Name(position, name)
        if self.stream.eat("("):
            inner = self.expression()
            self.stream.expect(")")
            return inner
        raise self.stream.fail("Invalid expression")

    # resource = "resource" "<" "byte" "[" "]" ">" "(" expression ")"
    def _resource(self, position: Position) -> ast.Expr:
        for expected in ("<", "byte", "[", "]", ">"):
            if self.stream.token.text != expected:
                raise self.stream.fail("Expected 'resource<byte[]>'")
            self.stream.take()
        self.stream.expect("(")
        name = self.expression()
        self.stream.expect(")")
        return ast.Resource(position, name)

    # INTERPOLATED = '$"' { text | "{" expression [ "," width ] [ ":" format ] "}" } '"'
    def _interpolated(self, token: Token) -> ast.Expr:
        """Parse the expressions that the lexer left as text."""
        parts: list[str | ast.Interpolation] = []
        for part in token.parts:
            if isinstance(part, str):
                parts.append(part)
                continue
            line = token.position.line
            inner = TokenStream.of_part(self.stream.file, part.text, line, self.stream.diagnostics)
            expr = ExpressionParser(inner).expression()
            if not inner.ended():
                raise inner.fail(f"Expected '}}', got {inner.token}")
            width = part.width or "0"
            if not width.lstrip("-").isdigit():
                raise self.stream.fail("Expected an integer as the field width")
            parts.append(ast.Interpolation(token.position, expr, int(width), part.format))
        return ast.Interpolated(token.position, parts)
