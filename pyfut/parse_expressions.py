"""Tokens to types and expressions."""

from __future__ import annotations

from pyfut.ast import (
    Binary,
    Bracket,
    Call,
    Expr,
    FieldInit,
    Index,
    Interpolated,
    Interpolation,
    Is,
    Literal,
    Member,
    Name,
    New,
    Postfix,
    Resource,
    Select,
    TypeNode,
    Unary,
    Var,
    Visibility,
)
from pyfut.errors import Diagnostics, ParseError, Position
from pyfut.lexer import Lexer, Token
from pyfut.naming import words

GENERIC_TYPES = words("List Queue Stack HashSet SortedSet Dictionary SortedDictionary OrderedDictionary PriorityQueue")
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
ASSIGNMENTS = words("= += -= *= /= %= &= |= ^= <<= >>=")
VISIBILITIES = {"public": Visibility.PUBLIC, "internal": Visibility.INTERNAL, "protected": Visibility.PROTECTED}
CALL_TYPES = ("static", "abstract", "virtual", "override", "sealed")


class ExpressionParser:
    """Reads the tokens of one file."""

    def __init__(self, file: str, text: str, symbols: frozenset[str], diagnostics: Diagnostics, line: int = 1) -> None:
        self.file = file
        self.diagnostics = diagnostics
        self.tokens = Lexer(file, text, symbols, diagnostics, line).tokens()
        self.at = 0

    # --- tokens ---

    @property
    def token(self) -> Token:
        """The token to be read next."""
        return self.tokens[self.at]

    @property
    def position(self) -> Position:
        """The place of the token to be read next."""
        return self.token.position

    def see(self, text: str) -> bool:
        """Whether the next token is the operator or keyword `text`."""
        return self.token.text == text and self.token.kind in ("op", "keyword")

    def eat(self, text: str) -> bool:
        """Skip the operator or keyword if it comes next."""
        if self.see(text):
            self.at += 1
            return True
        return False

    def fail(self, message: str) -> ParseError:
        """Record an error at the next token and return the exception to be raised."""
        self.diagnostics.error(self.position, message)
        return ParseError()

    def expect(self, text: str) -> None:
        """Skip an operator or keyword that must come next."""
        if not self.eat(text):
            raise self.fail(f"Expected '{text}', got {self.token}")

    def identifier(self) -> str:
        """Read an identifier."""
        if self.token.kind != "id":
            raise self.fail(f"Expected identifier, got {self.token}")
        self.at += 1
        return self.tokens[self.at - 1].text

    def doc(self) -> list[str]:
        """Read a documentation comment, if there is one."""
        if self.token.kind == "doc":
            self.at += 1
            lines = self.tokens[self.at - 1].lines or []
            if "\n".join(lines).count("`") % 2:
                self.diagnostics.error(self.tokens[self.at - 1].position, "Unterminated code in documentation comment")
            return lines
        return []

    # --- types ---

    def type(self) -> TypeNode:
        """Read a type."""
        position = self.position
        if self.see("void"):
            self.at += 1
            return TypeNode(position, "void")
        name = self.identifier()
        if name in GENERIC_TYPES and self.see("<"):
            self.diagnostics.unsupported(position, name)
            self._skip_type_arguments()
            name = ""
        node = TypeNode(position, name)
        if self.eat("("):
            if not self.see(")"):
                raise self.fail("Expected empty parentheses for storage type")
            self.at += 1
            node.storage = True
        node.marks = self._marks()
        while self.see("["):
            bracket = self.position
            self.at += 1
            length = None if self.see("]") else self.expression()
            self.expect("]")
            node.brackets.append(Bracket(bracket, length, self._marks()))
        return node

    def _skip_type_arguments(self) -> None:
        depth = 0
        while self.token.kind != "eof":
            depth += {"<": 1, ">": -1, ">>": -2}.get(self.token.text, 0)
            self.at += 1
            if depth <= 0:
                return

    def _marks(self) -> str:
        marks = ""
        while self.token.kind == "op" and self.token.text in ("!", "#", "?"):
            marks += self.token.text
            self.at += 1
        return marks

    def _try_type(self) -> TypeNode | None:
        """Read a type if it is followed by a name, as in a definition of a variable."""
        start, errors = self.at, len(self.diagnostics.errors)
        try:
            node = self.type()
            if self.token.kind in ("id", "string"):
                return node
        except ParseError:
            pass
        generic = self.tokens[start].text in GENERIC_TYPES
        if generic and len(self.diagnostics.errors) > errors:
            raise ParseError
        self.at = start
        del self.diagnostics.errors[errors:]
        return None

    # --- expressions ---

    def expression(self) -> Expr:
        """Read an expression without an assignment."""
        condition = self._binary(0)
        position = self.position
        if self.eat("?"):
            on_true = self.expression()
            self.expect(":")
            return Select(position, condition, on_true, self.expression())
        return condition

    def _binary(self, level: int) -> Expr:
        if level == len(BINARY_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while any(self.see(operator) for operator in BINARY_LEVELS[level]):
            position, operator = self.position, self.token.text
            self.at += 1
            if operator == "is":
                written = self.type()
                variable = None
                if self.token.kind == "id":
                    variable = Var(self.position, self.identifier(), written, None, [])
                left = Is(position, left, written, variable)
            else:
                left = Binary(position, operator, left, self._binary(level + 1))
        return left

    def _unary(self) -> Expr:
        position, text = self.position, self.token.text
        if self.token.kind == "op" and text in ("-", "~", "!", "++", "--"):
            self.at += 1
            return Unary(position, text, self._unary())
        if self.eat("new"):
            written = self.type()
            if self.see("{"):
                return New(position, written, self._field_inits())
            return self._postfix(New(position, written, []))
        return self._postfix(self._primary())

    def _field_inits(self) -> list[FieldInit]:
        self.expect("{")
        inits: list[FieldInit] = []
        while not self.see("}"):
            position = self.position
            name = self.identifier()
            if not self.eat("="):
                raise self.fail(f"Expected '=', got {self.token}")
            inits.append(FieldInit(position, name, self.expression()))
            if not self.eat(","):
                break
        self.expect("}")
        return inits

    def _postfix(self, expr: Expr) -> Expr:
        while True:
            position = self.position
            if self.eat("."):
                expr = Member(position, expr, self.identifier())
            elif self.eat("["):
                expr = Index(position, expr, self.expression())
                self.expect("]")
            elif self.eat("("):
                expr = self._call(position, expr)
            elif self.see("++") or self.see("--"):
                expr = Postfix(position, self.token.text, expr)
                self.at += 1
            elif self.see("!"):
                raise self.fail("Unexpected '!'")
            else:
                return expr

    def _call(self, position: Position, target: Expr) -> Expr:
        arguments: list[Expr] = []
        if not self.see(")"):
            arguments.append(self._argument())
            while self.eat(","):
                arguments.append(self._argument())
        self.expect(")")
        if not isinstance(target, (Name, Member)):
            self.diagnostics.error(position, "Expected a method")
            raise ParseError
        return Call(position, target, arguments)

    def _argument(self) -> Expr:
        argument = self.expression()
        if self.see("=>"):
            self.diagnostics.unsupported(self.position, "lambda expression")
            raise ParseError
        return argument

    def _primary(self) -> Expr:
        token, position = self.token, self.position
        if token.kind in ("int", "float", "char", "string"):
            self.at += 1
            return Literal(position, token.value, token.text)
        if token.kind == "interpolated":
            self.at += 1
            return self._interpolated(token)
        if token.kind == "id":
            self.at += 1
            if token.text in GENERIC_TYPES and self.see("<"):
                self.diagnostics.unsupported(position, token.text)
                raise ParseError
            if token.text == "resource":
                return self._resource(position)
            return Name(position, token.text)
        if token.kind == "keyword":
            if token.text in ("true", "false"):
                self.at += 1
                return Literal(position, token.text == "true", token.text)
            if token.text == "null":
                self.at += 1
                return Literal(position, None, token.text)
            if token.text in ("this", "base"):
                self.at += 1
                return Name(position, token.text)
        if self.eat("("):
            inner = self.expression()
            self.expect(")")
            return inner
        raise self.fail("Invalid expression")

    def _resource(self, position: Position) -> Expr:
        for expected in ("<", "byte", "[", "]", ">"):
            if self.token.text != expected:
                raise self.fail("Expected 'resource<byte[]>'")
            self.at += 1
        self.expect("(")
        name = self.expression()
        self.expect(")")
        return Resource(position, name)

    def _interpolated(self, token: Token) -> Expr:
        parts: list[str | Interpolation] = []
        for part in token.parts or []:
            if isinstance(part, str):
                parts.append(part)
                continue
            inner = ExpressionParser(self.file, part.text, frozenset(), self.diagnostics, token.position.line)
            expr = inner.expression()
            if inner.token.kind != "eof":
                raise inner.fail(f"Expected '}}', got {inner.token}")
            width = part.width or "0"
            if not width.lstrip("-").isdigit():
                raise self.fail("Expected an integer as the field width")
            parts.append(Interpolation(token.position, expr, int(width), part.format))
        return Interpolated(token.position, parts)
