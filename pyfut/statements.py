"""Whether initial values and statements obey the rules of the language."""

from __future__ import annotations

import re

from pyfut.ast import (
    Assert,
    Assign,
    Block,
    Break,
    Call,
    ClassDecl,
    ConstDecl,
    ConstStmt,
    Continue,
    DoWhile,
    EnumValue,
    Expr,
    ExprStmt,
    For,
    Foreach,
    If,
    Is,
    Literal,
    MethodDecl,
    Name,
    NativeStmt,
    ObjectInit,
    Postfix,
    Return,
    Stmt,
    Switch,
    Throw,
    Unary,
    Value,
    Var,
    VarStmt,
    While,
)
from pyfut.errors import Position
from pyfut.library import LibraryChecker
from pyfut.naming import snake_case
from pyfut.types import (
    ERROR,
    INT,
    LONG,
    STRING_STORAGE,
    VOID,
    ArrayType,
    ClassType,
    EnumType,
    Floating,
    Integer,
    Kind,
    StringType,
    Type,
    is_numeric,
    is_storage,
)


class StatementChecker(LibraryChecker):
    """Checks the bodies of methods."""

    breaks: list[bool]
    """For each enclosing loop or switch, whether a `break` was seen."""
    exception: ClassDecl
    """The base of all exception classes."""

    def _check_init(self, init: Expr, type_: Type, position: Position) -> None:
        """Check the initial value of a variable or a field."""
        if isinstance(init, ObjectInit):
            init.type = type_
            if isinstance(type_, ClassType) and type_.kind is Kind.STORAGE:
                self.check_fields(init.fields, type_.decl)
            elif type_ != ERROR:
                self.error(init.position, "Unexpected object initializer")
            return
        self.value_of(init)
        if ERROR in (init.type, type_):
            return
        if isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            self._check_array_init(init, type_)
        elif is_storage(type_):
            self.error(
                position,
                "Cannot copy object storage"
                if is_storage(init.type)
                else f"Cannot convert '{self.describe(init)}' to '{type_}'",
            )
        else:
            self.convert(init, type_)

    def refuse_assignable(self, type_: Type, init: Expr | None) -> Type:
        """Refuse an object storage that may be null; return the type to continue with."""
        if isinstance(type_, ClassType) and is_storage(type_) and isinstance(init, Literal) and init.literal is None:
            self.diagnostics.unsupported(init.position, "object storage that may be null")
            return ERROR
        return type_

    def _check_array_init(self, init: Expr, type_: ArrayType) -> None:
        if isinstance(init.type, ArrayType):
            self.error(init.position, "Cannot copy object storage")
            return
        if isinstance(type_.element, ArrayType):
            self.error(init.position, f"Cannot convert '{self.describe(init)}' to '{type_.element}'")
            return
        self.convert(init, type_.element)
        zero = init.value in (0, False) and not isinstance(init.value, (str, EnumValue))
        if not zero and str(init.type) != "null":
            self.error(init.position, "Only null, zero and false supported as an array initializer")

    def _check_method(self, method: MethodDecl) -> None:
        assert method.body is not None
        self.method, self.uses = method, method.uses
        self.scopes = [{p.name: p for p in method.parameters}, {}]
        completes = self.statement(method.body)
        if completes and method.type not in (VOID, ERROR):
            self.error(method.position, "Method can complete without a return value")

    def statement(self, stmt: Stmt) -> bool:
        """Check a statement; return whether execution can continue after it."""
        if isinstance(stmt, Block):
            return self._scoped(stmt.statements)
        if isinstance(stmt, ExprStmt):
            return self._expression_statement(stmt)
        if isinstance(stmt, VarStmt):
            self._var(stmt.var)
            return True
        if isinstance(stmt, ConstStmt):
            self._local_const(stmt.const)
            return True
        if isinstance(stmt, If):
            return self._if(stmt)
        if isinstance(stmt, (While, DoWhile, For)):
            return self._loop(stmt)
        if isinstance(stmt, Foreach):
            return self._foreach(stmt)
        if isinstance(stmt, Switch):
            return self._switch(stmt)
        if isinstance(stmt, Break):
            self.breaks[-1:] = [True]
            return False
        if isinstance(stmt, Continue):
            return False
        if isinstance(stmt, Return):
            self._return(stmt)
            return False
        if isinstance(stmt, Assert):
            return self._assert(stmt)
        if isinstance(stmt, Throw):
            self._throw(stmt)
            return False
        assert isinstance(stmt, NativeStmt)
        self._native(stmt)
        return True

    def _scoped(self, statements: list[Stmt]) -> bool:
        self.scopes.append({})
        completes = self._sequence(statements)
        self._leave_scope()
        return completes

    def _leave_scope(self) -> None:
        for symbol in self.scopes.pop().values():
            if isinstance(symbol, Var) and not symbol.is_assigned and not symbol.is_parameter:
                self.error(symbol.position, "Uninitialized variable")

    def _sequence(self, statements: list[Stmt]) -> bool:
        completes = True
        reported = False
        for stmt in statements:
            if not completes and not reported:
                self.error(stmt.position, "Unreachable statement")
                reported = True
            completes = self.statement(stmt) and completes
        return completes

    def _expression_statement(self, stmt: ExprStmt) -> bool:
        expr = stmt.expr
        if isinstance(expr, (Unary, Postfix)) and expr.operator in ("++", "--"):
            self._step_statement(expr)
            return True
        before = len(self.diagnostics.errors)
        self.check(expr)
        if not isinstance(expr, (Call, Assign)) and len(self.diagnostics.errors) == before:
            self.error(expr.position, "Useless expression")
        return True

    def _step_statement(self, expr: Unary | Postfix) -> None:
        """Check an increment, which does not count as reading the variable."""
        var = self.lookup(expr.operand.name) if isinstance(expr.operand, Name) else None
        was_read = isinstance(var, Var) and var.is_read
        self.check(expr)
        if isinstance(var, Var):
            var.is_read = was_read

    def _var(self, var: Var) -> None:
        var.type = self.refuse_assignable(self.resolve_type(var.written), var.init)
        if var.type == VOID:
            var.type = self.error(var.position, "Variable cannot be void")
        self.instantiate_storage(var.type, var.position)
        if var.init is not None:
            self._check_init(var.init, var.type, var.position)
        var.is_assigned = var.init is not None or is_storage(var.type) or var.type == ERROR
        self.declare(var)

    def _local_const(self, const: ConstDecl) -> None:
        assert self.owner is not None
        assert self.method is not None
        const.owner, const.method = self.owner, self.method
        self.resolve_const(const)
        const.ordinal = sum(c.name == const.name for c in self.method.local_consts)
        self.method.local_consts.append(const)
        if const.name in self.scopes[-1]:
            self.error(const.position, "Duplicate symbol")
        self.scopes[-1][const.name] = const

    def _body(self, stmt: Stmt) -> bool:
        """Check a statement that is not in a list of its own."""
        return self._scoped([stmt])

    def _if(self, stmt: If) -> bool:
        self.scopes.append({})
        self.boolean(stmt.condition)
        on_true = self._body(stmt.on_true)
        self.scopes.pop()
        on_false = True if stmt.on_false is None else self._body(stmt.on_false)
        return on_true or on_false

    def _loop(self, stmt: While | DoWhile | For) -> bool:
        self.scopes.append({})
        self.breaks.append(False)
        if isinstance(stmt, For) and stmt.init is not None:
            self.statement(stmt.init)
        if stmt.condition is not None and not isinstance(stmt, DoWhile):
            self.boolean(stmt.condition)
        self._body(stmt.body)
        if isinstance(stmt, DoWhile):
            self.boolean(stmt.condition)
        if isinstance(stmt, For) and stmt.advance is not None:
            self._expression_statement(ExprStmt(stmt.position, stmt.advance))
        self._leave_scope()
        endless = stmt.condition is None or stmt.condition.value is True
        return self.breaks.pop() or not endless

    def _foreach(self, stmt: Foreach) -> bool:
        self.value_of(stmt.collection)
        stmt.var.type = self.resolve_type(stmt.var.written)
        stmt.var.is_assigned = True
        type_ = stmt.collection.type
        if isinstance(type_, StringType):
            if stmt.var.type != INT:
                self.error(stmt.var.written.position, "Expected 'int' iterator variable")
        elif self.has_length(stmt.collection):
            assert isinstance(type_, ArrayType)
            self._check_foreach_element(stmt, type_.element)
        elif type_ != ERROR:
            self.error(stmt.collection.position, f"'foreach' invalid on '{self.describe(stmt.collection)}'")
        self.scopes.append({})
        self.declare(stmt.var)
        self.breaks.append(False)
        self._body(stmt.body)
        self.breaks.pop()
        self.scopes.pop()
        return True

    def _check_foreach_element(self, stmt: Foreach, element: Type) -> None:
        target = stmt.var.type
        fits = element == target or (is_numeric(element) and isinstance(target, Floating))
        fits = fits or (isinstance(element, Integer) and isinstance(target, Integer))
        if isinstance(element, (ClassType, ArrayType)) and type(element) is type(target):
            fits = True
        if isinstance(element, StringType) and isinstance(target, StringType):
            fits = True
        if not fits and target != ERROR:
            self.error(stmt.var.written.position, f"Cannot convert '{element}' to '{target}'")

    def _switch(self, stmt: Switch) -> bool:
        type_ = self.value_of(stmt.subject)
        if isinstance(type_, ClassType):
            self.diagnostics.unsupported(stmt.position, "switch on the type of an object")
            return True
        valid = isinstance(type_, (EnumType, StringType)) or (isinstance(type_, Integer) and type_ != LONG)
        if type_ != ERROR and not valid:
            message = f"'switch' on type '{type_}' - expected 'int', 'enum', 'string' or object reference"
            self.error(stmt.position, message)
            return False
        self.breaks.append(False)
        seen: list[Value] = []
        for case in stmt.cases:
            for label in case.labels:
                self._case_label(label, type_, seen)
            self._case_body(case.body, "case")
        if stmt.default is not None:
            self._case_body(stmt.default, "default")
        return self.breaks.pop() or stmt.default is None

    def _case_label(self, label: Expr, type_: Type, seen: list[Value]) -> None:
        self.constant_value(label)
        if ERROR in (label.type, type_):
            return
        self.convert(label, type_)
        if label.value is None:
            if str(label.type) != "null":
                self.error(label.position, "Expected constant value")
        elif label.value in seen:
            self.error(label.position, "Duplicate case")
        seen.append(label.value)

    def _case_body(self, body: list[Stmt], label: str) -> None:
        completes = self._scoped(body)
        if completes and body:
            message = f"'{label}' must end with 'break', 'continue', 'return' or 'throw'"
            self.error(body[-1].position, message)

    def _return(self, stmt: Return) -> None:
        assert self.method is not None
        if stmt.expr is None:
            if self.method.type not in (VOID, ERROR):
                self.error(stmt.position, "Missing return value")
            return
        self.value_of(stmt.expr)
        if self.method.type == VOID:
            self.error(stmt.position, "Void method cannot return a value")
            return
        self.convert(stmt.expr, self.method.type)
        if self._is_local_storage(stmt.expr) and self.method.type not in (STRING_STORAGE, ERROR):
            self.error(stmt.expr.position, "Returning dangling reference to local storage")

    @staticmethod
    def _is_local_storage(expr: Expr) -> bool:
        symbol = getattr(expr, "symbol", None)
        return (
            isinstance(symbol, Var)
            and not symbol.is_parameter
            and not symbol.is_foreach
            and (is_storage(symbol.type) or symbol.type == STRING_STORAGE)
        )

    def _assert(self, stmt: Assert) -> bool:
        if isinstance(stmt.condition, Is):
            self.value_of(stmt.condition)
        else:
            self.boolean(stmt.condition)
        if stmt.message is not None:
            self.value_of(stmt.message)
            if stmt.message.type != ERROR and not isinstance(stmt.message.type, StringType):
                self.error(stmt.message.position, "The second argument of 'assert' must be a string")
        return stmt.condition.value is not False

    def _throw(self, stmt: Throw) -> None:
        decl = self.globals.get(stmt.name)
        if stmt.message is not None:
            self.value_of(stmt.message)
            if stmt.message.type != ERROR and not isinstance(stmt.message.type, StringType):
                self.error(stmt.message.position, "Exception accepts a string argument")
        if not isinstance(decl, ClassDecl) or not decl.derives_from(self.exception):
            self.error(stmt.position, f"'{stmt.name}' is not an exception class")
        elif not self.may_throw(stmt.name):
            self.error(stmt.position, f"Method must be marked 'throws {stmt.name}'")

    def _native(self, stmt: NativeStmt) -> None:
        """Take every variable whose name occurs in the text as read and assigned."""
        assert self.method is not None
        self.method.native_text += stmt.text
        words = set(re.findall(r"\w+", stmt.text))
        for scope in self.scopes:
            for name, symbol in scope.items():
                if name not in words and snake_case(name) not in words:
                    continue
                if isinstance(symbol, Var):
                    symbol.is_read = symbol.is_assigned = True
                elif isinstance(symbol, ConstDecl):
                    self.uses.add(symbol)
