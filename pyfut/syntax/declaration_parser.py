"""Tokens to classes and enumerations."""

from __future__ import annotations

from pyfut.errors import ParseError, Position
from pyfut.syntax import ast
from pyfut.syntax.definition_parser import DefinitionParser
from pyfut.syntax.expression_parser import ExpressionParser
from pyfut.syntax.statement_parser import StatementParser
from pyfut.syntax.token_stream import TokenStream

VISIBILITIES = {
    "public": ast.Visibility.PUBLIC,
    "internal": ast.Visibility.INTERNAL,
    "protected": ast.Visibility.PROTECTED,
    "": ast.Visibility.PRIVATE,
}
CALL_TYPES = ("static", "abstract", "virtual", "override", "sealed")
STARTERS = ("class", "enum", "public", "static", "abstract", "sealed")


class DeclarationParser:
    """Reads one file into a program."""

    def __init__(self, stream: TokenStream, program: ast.Program, emitted: bool) -> None:
        self.stream = stream
        self.program = program
        self.emitted = emitted
        """Whether code is to be written for what is read."""
        self.expressions = ExpressionParser(stream)
        self.definitions = DefinitionParser(stream, self.expressions)
        self.statements = StatementParser(stream, self.expressions, self.definitions, program)

    # file = { NATIVE | enum | class }
    def file(self) -> None:
        """Read the whole file."""
        while not self.stream.ended():
            try:
                self._top_level()
            except ParseError:
                self.stream.skip_to(*STARTERS)

    # top-level = NATIVE | [ "public" ] ( enum | [ "static" | "abstract" | "sealed" ] class )
    def _top_level(self) -> None:
        if self.stream.token.kind == "native":
            if self.emitted:
                self.program.natives.append(self.stream.token.text)
            self.stream.take()
            return
        doc = self.stream.doc()
        public = bool(self.stream.eat("public"))
        if self.stream.see("enum"):
            self._enum(doc, public)
            return
        modifier = self.stream.eat("static", "abstract", "sealed")
        if not self.stream.see("class"):
            position = self.stream.peek(-1).position if self.stream.ended() else self.stream.take().position
            self.stream.diagnostics.error(position, "Expected class or enum")
            raise ParseError
        self._class(doc, public, modifier)

    # enum = "enum" [ "*" ] NAME "{" enum-value { "," enum-value } "}"
    def _enum(self, doc: list[str], public: bool) -> None:
        self.stream.expect("enum")
        flags = bool(self.stream.eat("*"))
        decl = ast.EnumDecl(self.stream.position, public, flags, self.stream.identifier(), doc, self.emitted)
        self.program.enums.append(decl)
        self.stream.expect("{")
        self._enum_value(decl)
        while self.stream.eat(","):
            self._enum_value(decl)
        self.stream.expect("}")

    # enum-value = NAME [ "=" expression ]
    def _enum_value(self, decl: ast.EnumDecl) -> None:
        doc = self.stream.doc()
        position = self.stream.position
        name = self.stream.identifier()
        init = self.expressions.expression() if self.stream.eat("=") else None
        if decl.flags and init is None:
            self.stream.diagnostics.error(self.stream.position, "enum* symbol must be assigned a value")
        decl.values.append(ast.EnumValue(position, decl, name, init, doc))

    # class = "class" NAME [ ":" NAME ] "{" { member } "}"
    def _class(self, doc: list[str], public: bool, modifier: str) -> None:
        self.stream.expect("class")
        position = self.stream.position
        name = self.stream.identifier()
        base_name = ""
        if self.stream.eat(":"):
            position = self.stream.position
            base_name = self.stream.identifier()
        decl = ast.ClassDecl(position, public, modifier, name, base_name, doc, self.emitted)
        self.program.classes.append(decl)
        self.stream.expect("{")
        while not self.stream.eat("}"):
            if self.stream.ended():
                raise self.stream.fail("Expected '}', got end-of-file")
            try:
                self._member(decl)
            except ParseError:
                self.stream.skip_broken()

    # member = NATIVE | [ visibility ] ( "const" const | constructor | [ call-type ] ( method | field ) )
    # visibility = "public" | "internal" | "protected"
    # call-type = "static" | "abstract" | "virtual" | "override" | "sealed"
    # field = type NAME initial-value ";"
    def _member(self, owner: ast.ClassDecl) -> None:
        if self.stream.token.kind == "native":
            owner.members.append(ast.NativeMember(self.stream.position, self.stream.take().text))
            return
        doc = self.stream.doc()
        visibility = VISIBILITIES[self.stream.eat("public", "internal", "protected")]
        if self.stream.eat("const"):
            owner.members.append(self.definitions.const(owner, visibility, doc))
            return
        call_position = self.stream.position
        call_type = self.stream.eat(*CALL_TYPES)
        if call_type and visibility is ast.Visibility.PRIVATE and call_type not in ("static", "sealed"):
            self.stream.diagnostics.error(call_position, f"Private method cannot be {call_type}")
        if self._at_constructor(owner):
            self._constructor(owner, visibility, call_type, doc)
            return
        written = self.expressions.types.type()
        position = self.stream.position
        if self.stream.see("(") or (self.stream.see("{") and written.storage):
            self.stream.diagnostics.error(written.position, "Method with no return type")
            raise ParseError
        name = self.stream.identifier()
        if self.stream.see("(") or (self.stream.see("!") and call_type != "static"):
            method = ast.MethodDecl(position, owner, visibility, call_type, name, written, False, [], [], None, doc)
            self._method(method, call_position)
            return
        if call_type == "static":
            raise self.stream.fail("Field cannot be static" if not self.stream.see("!") else "Expected '(', got '!'")
        if call_type:
            self.stream.diagnostics.error(position, f"Field cannot be {call_type}")
        init = self.definitions.initial_value()
        self.stream.expect(";")
        owner.members.append(ast.FieldDecl(position, owner, visibility, name, written, init, doc))

    def _at_constructor(self, owner: ast.ClassDecl) -> bool:
        """Whether `Name(` follows, but not the storage type `Name()` of a member."""
        if self.stream.token.text != owner.name or self.stream.peek(1).text != "(":
            return False
        return self.stream.peek(2).text != ")" or self.stream.peek(3).kind not in ("id", "native")

    # constructor = NAME "(" ")" block
    def _constructor(self, owner: ast.ClassDecl, visibility: ast.Visibility, call_type: str, doc: list[str]) -> None:
        position = self.stream.take().position
        if call_type:
            self.stream.diagnostics.error(position, f"Constructor cannot be {call_type}")
        if owner.modifier == "static":
            self.stream.diagnostics.error(position, "Constructor in a static class")
        self.stream.expect("(")
        if not self.stream.eat(")"):
            raise self.stream.fail("Constructor parameters not supported")
        constructor = ast.MethodDecl(position, owner, visibility, "", owner.name, None, True, [], [], None, doc)
        constructor.body = self.statements.block()
        if owner.constructor is not None:
            line = owner.constructor.position.line
            self.stream.diagnostics.error(position, f"Duplicate constructor, already defined in line {line}")
            return
        owner.constructor = constructor
        owner.members.append(constructor)

    # method = type NAME [ "!" ] "(" [ parameter { "," parameter } ] ")" [ "throws" throws { "," throws } ]
    #          ( ";" | method-body )
    def _method(self, method: ast.MethodDecl, call_position: Position) -> None:
        """Read a method from behind its name."""
        self._check_call_type(method, call_position)
        method.mutator = bool(self.stream.eat("!"))
        self.stream.expect("(")
        if not self.stream.see(")"):
            method.parameters = self.stream.list_of(self._parameter)
        self.stream.expect(")")
        if self.stream.eat("throws"):
            method.throws = self.stream.list_of(self._throws)
        method.owner.members.append(method)
        if method.call_type == "abstract":
            self.stream.expect(";")
        else:
            self._method_body(method)

    def _check_call_type(self, method: ast.MethodDecl, call_position: Position) -> None:
        assert method.written is not None
        owner, call_type = method.owner.modifier, method.call_type
        if owner == "static" and call_type != "static":
            message = "Only static methods allowed in a static class"
            self.stream.diagnostics.error(method.written.position, message)
        if call_type == "abstract" and owner != "abstract":
            self.stream.diagnostics.error(call_position, "Abstract methods allowed only in an abstract class")
        if call_type == "virtual" and owner == "sealed":
            self.stream.diagnostics.error(call_position, "Virtual methods disallowed in a sealed class")

    # method-body = "=>" expression ";" | block
    def _method_body(self, method: ast.MethodDecl) -> None:
        arrow = self.stream.position
        if not self.stream.eat("=>"):
            method.body = self.statements.block()
            return
        expr = self.expressions.expression()
        written = method.written
        returns = written is None or written.name != "void" or bool(written.brackets)
        method.body = ast.Return(arrow, expr) if returns else ast.ExprStmt(arrow, expr)
        self.stream.expect(";")

    # throws = NAME
    def _throws(self) -> ast.Throws:
        doc = self.stream.doc()
        return ast.Throws(self.stream.position, self.stream.identifier(), doc)

    # parameter = type NAME [ "=" expression ]
    def _parameter(self) -> ast.Var:
        doc = self.stream.doc()
        written = self.expressions.types.type()
        position = self.stream.position
        name = self.stream.identifier()
        init = self.expressions.expression() if self.stream.eat("=") else None
        parameter = ast.Var(position, name, written, init, doc)
        parameter.is_parameter = True
        return parameter
