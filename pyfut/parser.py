"""Tokens to the syntax tree."""

from __future__ import annotations

from pyfut.ast import (
    Aggregate,
    Assert,
    Assign,
    Binary,
    Block,
    Bracket,
    Break,
    Call,
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
    FieldInit,
    For,
    Foreach,
    If,
    Index,
    Interpolated,
    Interpolation,
    Is,
    Literal,
    Member,
    MethodDecl,
    Name,
    NativeMember,
    NativeStmt,
    New,
    ObjectInit,
    Postfix,
    Program,
    Return,
    Select,
    Stmt,
    Switch,
    Throw,
    Throws,
    TypeNode,
    Unary,
    Var,
    VarStmt,
    Visibility,
    While,
)
from pyfut.errors import Diagnostics, Position, SyntaxFailure
from pyfut.lexer import Lexer, Token

GENERIC_TYPES = frozenset(
    "List Queue Stack HashSet SortedSet Dictionary SortedDictionary OrderedDictionary PriorityQueue".split()
)
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
ASSIGNMENTS = frozenset("= += -= *= /= %= &= |= ^= <<= >>=".split())
VISIBILITIES = {"public": Visibility.PUBLIC, "internal": Visibility.INTERNAL, "protected": Visibility.PROTECTED}
CALL_TYPES = ("static", "abstract", "virtual", "override", "sealed")


class Parser:
    """Parses one file into a program."""

    def __init__(
        self, file: str, text: str, symbols: frozenset[str], diagnostics: Diagnostics, program: Program, emitted: bool
    ) -> None:
        self.file = file
        self.diagnostics = diagnostics
        self.program = program
        self.emitted = emitted
        self.tokens = Lexer(file, text, symbols, diagnostics).tokens()
        self.at = 0
        self.loops: list[str] = []
        """The enclosing "loop" and "switch" statements."""

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

    def fail(self, message: str) -> SyntaxFailure:
        """Record an error at the next token and return the exception to be raised."""
        self.diagnostics.error(self.position, message)
        return SyntaxFailure()

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

    # --- declarations ---

    def parse(self) -> None:
        """Parse the whole file."""
        while self.token.kind != "eof":
            try:
                self._top_level()
            except SyntaxFailure:
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
            raise SyntaxFailure
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
            except SyntaxFailure:
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
        if self.token.text == owner.name and self.tokens[self.at + 1].text == "(":
            self._constructor(owner, visibility, call_type, doc)
            return
        written = self.type()
        position = self.position
        if self.see("(") or (self.see("{") and written.storage):
            self.diagnostics.error(written.position, "Method with no return type")
            raise SyntaxFailure
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
        start, errors = self.at, len(self.diagnostics.messages)
        try:
            node = self.type()
            if self.token.kind in ("id", "string"):
                return node
        except SyntaxFailure:
            pass
        generic = self.tokens[start].text in GENERIC_TYPES
        if generic and len(self.diagnostics.messages) > errors:
            raise SyntaxFailure
        self.at = start
        del self.diagnostics.messages[errors:]
        return None

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
            except SyntaxFailure:
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
            raise SyntaxFailure
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
            except SyntaxFailure:
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
        raise SyntaxFailure

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
            raise SyntaxFailure
        return Call(position, target, arguments)

    def _argument(self) -> Expr:
        argument = self.expression()
        if self.see("=>"):
            self.diagnostics.unsupported(self.position, "lambda expression")
            raise SyntaxFailure
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
                raise SyntaxFailure
            if token.text == "resource" and self.see("<"):
                self.diagnostics.unsupported(position, "resource")
                raise SyntaxFailure
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

    def _interpolated(self, token: Token) -> Expr:
        parts: list[str | Interpolation] = []
        for part in token.parts or []:
            if isinstance(part, str):
                parts.append(part)
                continue
            inner = Parser.__new__(Parser)
            inner.__dict__.update(self.__dict__)
            inner.tokens = Lexer(self.file, part.text, frozenset(), self.diagnostics, token.position.line).tokens()
            inner.at = 0
            expr = inner.expression()
            if inner.token.kind != "eof":
                raise inner.fail(f"Expected '}}', got {inner.token}")
            width = part.width or "0"
            if not width.lstrip("-").isdigit():
                raise self.fail("Expected an integer as the field width")
            parts.append(Interpolation(token.position, expr, int(width), part.format))
        return Interpolated(token.position, parts)
