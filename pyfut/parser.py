"""Tokens to the syntax tree: declarations and statements."""

from __future__ import annotations

from pyfut.ast import (
    Aggregate,
    Assert,
    Assign,
    Block,
    Break,
    Case,
    ClassDecl,
    ConstDecl,
    ConstStmt,
    Continue,
    DoWhile,
    EnumDecl,
    EnumValue,
    Expr,
    ExprStmt,
    FieldDecl,
    For,
    Foreach,
    If,
    Literal,
    MethodDecl,
    NativeMember,
    NativeStmt,
    ObjectInit,
    Program,
    Return,
    Stmt,
    Switch,
    Throw,
    Throws,
    TypeNode,
    Var,
    VarStmt,
    Visibility,
    While,
)
from pyfut.errors import Diagnostics, ParseError, Position
from pyfut.parse_expressions import ASSIGNMENTS, CALL_TYPES, VISIBILITIES, ExpressionParser


class Parser(ExpressionParser):
    """Parses one file into a program."""

    def __init__(
        self, file: str, text: str, symbols: frozenset[str], diagnostics: Diagnostics, program: Program, emitted: bool
    ) -> None:
        super().__init__(file, text, symbols, diagnostics)
        self.program = program
        self.emitted = emitted
        self.loops: list[str] = []
        """The enclosing "loop" and "switch" statements."""

    # --- declarations ---

    def parse(self) -> None:
        """Parse the whole file."""
        while self.token.kind != "eof":
            try:
                self._top_level()
            except ParseError:
                self._resume(("class", "enum", "public", "static", "abstract", "sealed"))

    def _resume(self, starters: tuple[str, ...]) -> None:
        """Skip to a keyword that starts a declaration outside of braces, or past the closing brace."""
        depth = 0
        while self.token.kind != "eof":
            if self.see("{"):
                depth += 1
            elif self.see("}"):
                depth -= 1
            elif depth <= 0 and any(self.see(s) for s in starters):
                return
            self.at += 1

    def _top_level(self) -> None:
        if self.token.kind == "native":
            if self.emitted:
                self.program.natives.append(self.token.text)
            self.at += 1
            return
        doc = self.doc()
        public = self.eat("public")
        if self.see("enum"):
            self._enum(doc, public)
            return
        modifier = next((m for m in ("static", "abstract", "sealed") if self.eat(m)), "")
        if not self.see("class"):
            self.at += self.token.kind != "eof"
            self.diagnostics.error(self.tokens[self.at - 1].position, "Expected class or enum")
            raise ParseError
        self._class(doc, public, modifier)

    def _enum(self, doc: list[str], public: bool) -> None:
        self.expect("enum")
        flags = self.eat("*")
        decl = EnumDecl(self.position, public, flags, self.identifier(), doc, self.emitted)
        self.program.enums.append(decl)
        self.expect("{")
        while True:
            value_doc = self.doc()
            position = self.position
            name = self.identifier()
            init = self.expression() if self.eat("=") else None
            if flags and init is None:
                self.diagnostics.error(self.position, "enum* symbol must be assigned a value")
            decl.values.append(EnumValue(position, decl, name, init, value_doc))
            if not self.eat(","):
                break
        self.expect("}")

    def _class(self, doc: list[str], public: bool, modifier: str) -> None:
        self.expect("class")
        position = self.position
        name = self.identifier()
        base_name = ""
        if self.eat(":"):
            position = self.position
            base_name = self.identifier()
        decl = ClassDecl(position, public, modifier, name, base_name, doc, self.emitted)
        self.program.classes.append(decl)
        self.expect("{")
        while not self.eat("}"):
            if self.token.kind == "eof":
                raise self.fail("Expected '}', got end-of-file")
            try:
                self._member(decl)
            except ParseError:
                self._resume_member()

    def _resume_member(self) -> None:
        depth = 0
        while self.token.kind != "eof":
            if self.see("{"):
                depth += 1
            elif self.see("}"):
                if depth == 0:
                    return
                depth -= 1
                if depth == 0:
                    self.at += 1
                    return
            elif self.see(";") and depth == 0:
                self.at += 1
                return
            self.at += 1

    def _member(self, owner: ClassDecl) -> None:
        if self.token.kind == "native":
            owner.members.append(NativeMember(self.position, self.token.text))
            self.at += 1
            return
        doc = self.doc()
        visibility = Visibility.PRIVATE
        for word, meaning in VISIBILITIES.items():
            if self.eat(word):
                visibility = meaning
                break
        if self.eat("const"):
            owner.members.append(self._const(owner, visibility, doc))
            return
        call_position = self.position
        call_type = next((c for c in CALL_TYPES if self.eat(c)), "")
        if call_type and visibility is Visibility.PRIVATE and call_type not in ("static", "sealed"):
            self.diagnostics.error(call_position, f"Private method cannot be {call_type}")
        if self._at_constructor(owner):
            self._constructor(owner, visibility, call_type, doc)
            return
        written = self.type()
        position = self.position
        if self.see("(") or (self.see("{") and written.storage):
            self.diagnostics.error(written.position, "Method with no return type")
            raise ParseError
        name = self.identifier()
        if self.see("(") or (self.see("!") and call_type != "static"):
            self._method(owner, visibility, call_type, call_position, written, name, doc)
            return
        if call_type == "static":
            raise self.fail("Field cannot be static" if not self.see("!") else "Expected '(', got '!'")
        if call_type:
            self.diagnostics.error(position, f"Field cannot be {call_type}")
        init = self.initializer()
        self.expect(";")
        owner.members.append(FieldDecl(position, owner, visibility, name, written, init, doc))

    def _at_constructor(self, owner: ClassDecl) -> bool:
        """Whether `Name(` follows, but not the storage type `Name()` of a member."""
        if self.token.text != owner.name or self.tokens[self.at + 1].text != "(":
            return False
        return self.tokens[self.at + 2].text != ")" or self.tokens[self.at + 3].kind not in ("id", "native")

    def initializer(self) -> Expr | None:
        """Read `= value` or `= { Field = value }`, if present."""
        position = self.position
        if not self.eat("="):
            return None
        if self.see("{"):
            return ObjectInit(position, self._field_inits())
        return self.expression()

    def _const(self, owner: ClassDecl, visibility: Visibility, doc: list[str]) -> ConstDecl:
        written = self.type()
        position = self.position
        name = self.identifier()
        self.expect("=")
        init: Expr
        if self.see("{"):
            start = self.position
            self.at += 1
            items: list[Expr] = []
            while not self.see("}"):
                items.append(self.expression())
                if not self.eat(","):
                    break
            self.expect("}")
            init = Aggregate(start, items)
        else:
            init = self.expression()
        self.expect(";")
        return ConstDecl(position, owner, visibility, name, written, init, doc)

    def _constructor(self, owner: ClassDecl, visibility: Visibility, call_type: str, doc: list[str]) -> None:
        position = self.position
        self.at += 1
        if call_type:
            self.diagnostics.error(position, f"Constructor cannot be {call_type}")
        if owner.modifier == "static":
            self.diagnostics.error(position, "Constructor in a static class")
        self.expect("(")
        if not self.eat(")"):
            raise self.fail("Constructor parameters not supported")
        constructor = MethodDecl(position, owner, visibility, "", owner.name, None, True, [], [], None, doc)
        constructor.body = self.block()
        if owner.constructor is not None:
            line = owner.constructor.position.line
            self.diagnostics.error(position, f"Duplicate constructor, already defined in line {line}")
            return
        owner.constructor = constructor
        owner.members.append(constructor)

    def _method(
        self,
        owner: ClassDecl,
        visibility: Visibility,
        call_type: str,
        call_position: Position,
        written: TypeNode,
        name: str,
        doc: list[str],
    ) -> None:
        position = self.tokens[self.at - 1].position
        if owner.modifier == "static" and call_type != "static":
            self.diagnostics.error(written.position, "Only static methods allowed in a static class")
        if call_type == "abstract" and owner.modifier != "abstract":
            self.diagnostics.error(call_position, "Abstract methods allowed only in an abstract class")
        if call_type == "virtual" and owner.modifier == "sealed":
            self.diagnostics.error(call_position, "Virtual methods disallowed in a sealed class")
        mutator = self.eat("!")
        self.expect("(")
        parameters: list[Var] = []
        if not self.see(")"):
            parameters.append(self._parameter())
            while self.eat(","):
                parameters.append(self._parameter())
        self.expect(")")
        throws: list[Throws] = []
        if self.eat("throws"):
            throws.append(self._throws())
            while self.eat(","):
                throws.append(self._throws())
        method = MethodDecl(
            position, owner, visibility, call_type, name, written, mutator, parameters, throws, None, doc
        )
        owner.members.append(method)
        if call_type == "abstract":
            self.expect(";")
        elif self.see("=>"):
            arrow = self.position
            self.at += 1
            expr = self.expression()
            method.body = Return(arrow, expr) if written.name != "void" or written.brackets else ExprStmt(arrow, expr)
            self.expect(";")
        else:
            method.body = self.block()

    def _throws(self) -> Throws:
        doc = self.doc()
        return Throws(self.position, self.identifier(), doc)

    def _parameter(self) -> Var:
        doc = self.doc()
        written = self.type()
        position = self.position
        name = self.identifier()
        parameter = Var(position, name, written, self.expression() if self.eat("=") else None, doc)
        parameter.is_parameter = True
        return parameter

    # --- statements ---

    def block(self) -> Block:
        """Read a block."""
        position = self.position
        self.expect("{")
        return Block(position, self._statements())

    def _statements(self) -> list[Stmt]:
        """Read statements up to and including the closing brace."""
        statements: list[Stmt] = []
        while not self.eat("}"):
            if self.token.kind == "eof":
                raise self.fail("Expected '}', got end-of-file")
            start = self.at
            try:
                statements.append(self.statement())
            except ParseError:
                self._resume_statement(start)
        return statements

    def _resume_statement(self, start: int) -> None:
        self.at = max(self.at, start)
        depth = 0
        while self.token.kind != "eof":
            if self.see("{"):
                depth += 1
            elif self.see("}"):
                if depth == 0:
                    return
                depth -= 1
                if depth == 0:
                    self.at += 1
                    return
            elif self.see(";") and depth == 0:
                self.at += 1
                return
            self.at += 1

    def statement(self) -> Stmt:
        """Read one statement."""
        position, token = self.position, self.token
        if token.kind == "native":
            self.at += 1
            return NativeStmt(position, token.text)
        if self.see("{"):
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
            "break": self._jump,
            "continue": self._jump,
            "lock": self._lock,
        }.get(token.text if token.kind == "keyword" else "")
        if handler is not None:
            self.at += 1
            return handler(position)
        if self.eat("const"):
            owner = self.program.classes[-1]
            return ConstStmt(position, self._const(owner, Visibility.PRIVATE, []))
        simple = self._simple_statement()
        self.expect(";")
        return simple

    def _simple_statement(self) -> Stmt:
        """Read a definition of a variable, an assignment or another expression."""
        position = self.position
        if self.token.kind == "id":
            written = self._try_type()
            if written is not None:
                name_position = self.position
                name = self.identifier()
                return VarStmt(position, Var(name_position, name, written, self.initializer(), []))
        return ExprStmt(position, self._assignment())

    def _assignment(self) -> Expr:
        position = self.position
        target = self.expression()
        if self.token.kind == "op" and self.token.text in ASSIGNMENTS:
            operator = self.token.text
            self.at += 1
            return Assign(position, operator, target, self._assignment())
        return target

    def _condition(self) -> Expr:
        self.expect("(")
        condition = self.expression()
        self.expect(")")
        return condition

    def _if(self, position: Position) -> Stmt:
        condition = self._condition()
        on_true = self.statement()
        return If(position, condition, on_true, self.statement() if self.eat("else") else None)

    def _loop_body(self) -> Stmt:
        self.loops.append("loop")
        try:
            return self.statement()
        finally:
            self.loops.pop()

    def _while(self, position: Position) -> Stmt:
        condition = self._condition()
        return While(position, condition, self._loop_body())

    def _do(self, position: Position) -> Stmt:
        body = self._loop_body()
        self.expect("while")
        condition = self._condition()
        self.expect(";")
        return DoWhile(position, body, condition)

    def _for(self, position: Position) -> Stmt:
        self.expect("(")
        init = None if self.see(";") else self._simple_statement()
        self.expect(";")
        condition = None if self.see(";") else self.expression()
        self.expect(";")
        advance = None if self.see(")") else self._assignment()
        self.expect(")")
        return For(position, init, condition, advance, self._loop_body())

    def _foreach(self, position: Position) -> Stmt:
        self.expect("(")
        if self.eat("("):
            self.diagnostics.unsupported(position, "foreach over a dictionary")
            raise ParseError
        written = self.type()
        var = Var(self.position, self.identifier(), written, None, [])
        var.is_foreach = True
        self.expect("in")
        collection = self.expression()
        self.expect(")")
        return Foreach(position, var, collection, self._loop_body())

    def _switch(self, position: Position) -> Stmt:
        subject = self._condition()
        self.expect("{")
        cases: list[Case] = []
        default: list[Stmt] | None = None
        self.loops.append("switch")
        while self.see("case"):
            start = self.position
            labels: list[Expr] = []
            while self.eat("case"):
                labels.append(self._case_label())
                self.expect(":")
            if self.see("default"):
                raise self.fail("Please remove 'case' before 'default'")
            cases.append(Case(start, labels, self._case_body("case")))
        if not cases:
            self.diagnostics.error(self.position, "Switch with no cases")
        if self.eat("default"):
            self.expect(":")
            default = self._case_body("default")
        self.loops.pop()
        self.expect("}")
        return Switch(position, subject, cases, default)

    def _case_label(self) -> Expr:
        position = self.position
        label: Expr = Literal(position, None, "null")
        if self.token.kind == "id" and self._try_type() is not None:
            self.diagnostics.unsupported(position, "switch on the type of an object")
            self.identifier()
        else:
            label = self.expression()
        if self.eat("when"):
            self.diagnostics.unsupported(position, "'when'")
            self.expression()
        return label

    def _case_body(self, label: str) -> list[Stmt]:
        body: list[Stmt] = []
        while not (self.see("case") or self.see("default") or self.see("}")):
            if self.token.kind == "eof":
                raise self.fail("Expected '}', got end-of-file")
            start = self.at
            try:
                body.append(self.statement())
            except ParseError:
                self._resume_statement(start)
        if not body:
            self.diagnostics.error(self.position, f"'{label}' must end with 'break', 'continue', 'return' or 'throw'")
        return body

    def _return(self, position: Position) -> Stmt:
        expr = None if self.see(";") else self.expression()
        self.expect(";")
        return Return(position, expr)

    def _assert(self, position: Position) -> Stmt:
        condition = self.expression()
        message = self.expression() if self.eat(",") else None
        self.expect(";")
        return Assert(position, condition, message)

    def _throw(self, position: Position) -> Stmt:
        name = self.identifier()
        self.expect("(")
        message = None if self.see(")") else self.expression()
        self.expect(")")
        self.expect(";")
        return Throw(position, name, message)

    def _jump(self, position: Position) -> Stmt:
        word = self.tokens[self.at - 1].text
        if word == "break":
            if not self.loops:
                self.diagnostics.error(position, "'break' outside loop or 'switch'")
        elif "loop" not in self.loops:
            self.diagnostics.error(position, "'continue' outside loop")
        self.expect(";")
        return Break(position) if word == "break" else Continue(position)

    def _lock(self, position: Position) -> Stmt:
        self.diagnostics.unsupported(position, "lock")
        raise ParseError
