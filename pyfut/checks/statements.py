"""Whether statements obey the rules of the language."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.checks.expressions import Expressions
from pyfut.checks.initializers import Initializers
from pyfut.checks.types import (
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
    StringType,
    Type,
    is_storage,
)
from pyfut.naming import snake_case
from pyfut.syntax import ast
from pyfut.syntax.walk import native_words


class Statements:
    """Checks the bodies of methods."""

    def __init__(self, context: Context, expressions: Expressions, initializers: Initializers) -> None:
        self.context = context
        self.expressions = expressions
        self.conversions = expressions.conversions
        self.types = expressions.types
        self.initializers = initializers
        self.breaks: list[bool] = []
        """For each enclosing loop or switch, whether a `break` was seen."""

    def check_method(self, method: ast.MethodDecl) -> None:
        """Check the body of a method."""
        assert method.body is not None
        self.context.method, self.context.uses = method, method.uses
        self.context.scopes = [{p.name: p for p in method.parameters}, {}]
        completes = self.statement(method.body)
        if completes and method.type not in (VOID, ERROR):
            self.context.error(method.position, "Method can complete without a return value")

    def statement(self, stmt: ast.Stmt) -> bool:
        """Check a statement; return whether execution can continue after it."""
        match stmt:
            case ast.Block():
                return self._scoped(stmt.statements)
            case ast.ExprStmt():
                self._expression(stmt.expr)
            case ast.VarStmt():
                self._var(stmt.var)
            case ast.ConstStmt():
                self._local_const(stmt.const)
            case ast.If():
                return self._if(stmt)
            case ast.While() | ast.DoWhile() | ast.For():
                return self._loop(stmt)
            case ast.Foreach():
                self._foreach(stmt)
            case ast.Switch():
                return self._switch(stmt)
            case ast.Break():
                self.breaks[-1:] = [True]
                return False
            case ast.Continue():
                return False
            case ast.Return():
                self._return(stmt)
                return False
            case ast.Assert():
                return self._assert(stmt)
            case ast.Throw():
                self._throw(stmt)
                return False
            case ast.NativeStmt():
                self._native(stmt)
        return True

    def _scoped(self, statements: list[ast.Stmt]) -> bool:
        with self.context.scope():
            return self._sequence(statements)

    def _sequence(self, statements: list[ast.Stmt]) -> bool:
        completes = True
        reported = False
        for stmt in statements:
            if not completes and not reported:
                self.context.error(stmt.position, "Unreachable statement")
                reported = True
            completes = self.statement(stmt) and completes
        return completes

    def _expression(self, expr: ast.Expr) -> None:
        before = len(self.context.diagnostics.errors)
        self.expressions.check(expr)
        useful = isinstance(expr, (ast.Call, ast.Assign)) or (
            isinstance(expr, (ast.Unary, ast.Postfix)) and expr.operator in ("++", "--")
        )
        if not useful and len(self.context.diagnostics.errors) == before:
            self.context.error(expr.position, "Useless expression")

    def _var(self, var: ast.Var) -> None:
        var.type = self.initializers.refuse_assignable(self.types.resolve_type(var.written), var.init)
        if var.type == VOID:
            var.type = self.context.error(var.position, "Variable cannot be void")
        self.expressions.objects.instantiate_storage(var.type, var.position)
        if var.init is not None:
            self.initializers.check_init(var.init, var.type, var.position)
        var.is_assigned = var.init is not None or is_storage(var.type) or var.type == ERROR
        self.context.declare(var)

    def _local_const(self, const: ast.ConstDecl) -> None:
        assert self.context.owner is not None
        assert self.context.method is not None
        const.owner, const.method = self.context.owner, self.context.method
        self.expressions.constants.resolve_const(const)
        const.ordinal = sum(c.name == const.name for c in self.context.method.local_consts)
        self.context.method.local_consts.append(const)
        if const.name in self.context.scopes[-1]:
            self.context.error(const.position, "Duplicate symbol")
        self.context.scopes[-1][const.name] = const

    def _if(self, stmt: ast.If) -> bool:
        with self.context.scope():
            self.expressions.boolean(stmt.condition)
            on_true = self._scoped([stmt.on_true])
        on_false = True if stmt.on_false is None else self._scoped([stmt.on_false])
        return on_true or on_false

    def _loop(self, stmt: ast.While | ast.DoWhile | ast.For) -> bool:
        self.breaks.append(False)
        with self.context.scope():
            if isinstance(stmt, ast.For) and stmt.init is not None:
                self.statement(stmt.init)
            if stmt.condition is not None and not isinstance(stmt, ast.DoWhile):
                self.expressions.boolean(stmt.condition)
            self._scoped([stmt.body])
            if isinstance(stmt, ast.DoWhile):
                self.expressions.boolean(stmt.condition)
            if isinstance(stmt, ast.For) and stmt.advance is not None:
                self._expression(stmt.advance)
        endless = stmt.condition is None or stmt.condition.value is True
        return self.breaks.pop() or not endless

    def _foreach(self, stmt: ast.Foreach) -> None:
        type_ = self.expressions.value_of(stmt.collection)
        stmt.var.type = self.types.resolve_type(stmt.var.written)
        stmt.var.is_assigned = True
        if isinstance(type_, StringType):
            if stmt.var.type != INT:
                self.context.error(stmt.var.written.position, "Expected 'int' iterator variable")
        elif self.expressions.names.has_length(stmt.collection):
            assert isinstance(type_, ArrayType)
            self._check_foreach_element(stmt, type_.element)
        elif type_ != ERROR:
            found = self.conversions.describe(stmt.collection)
            self.context.error(stmt.collection.position, f"'foreach' invalid on '{found}'")
        self.breaks.append(False)
        with self.context.scope():
            self.context.declare(stmt.var)
            self._scoped([stmt.body])
        self.breaks.pop()

    def _check_foreach_element(self, stmt: ast.Foreach, element: Type) -> None:
        target = stmt.var.type
        match element, target:
            case (Integer() | Floating(), Floating()) | (Integer(), Integer()) | (StringType(), StringType()):
                fits = True
            case (ClassType(), ClassType()) | (ArrayType(), ArrayType()):
                fits = True
            case _:
                fits = element == target
        if not fits and target != ERROR:
            self.context.error(stmt.var.written.position, f"Cannot convert '{element}' to '{target}'")

    def _switch(self, stmt: ast.Switch) -> bool:
        type_ = self.expressions.value_of(stmt.subject)
        if isinstance(type_, ClassType):
            self.context.refuse(stmt.position, "switch on the type of an object")
            return True
        valid = isinstance(type_, (EnumType, StringType)) or (isinstance(type_, Integer) and type_ != LONG)
        if type_ != ERROR and not valid:
            message = f"'switch' on type '{type_}' - expected 'int', 'enum', 'string' or object reference"
            self.context.error(stmt.position, message)
            return False
        self.breaks.append(False)
        seen: list[ast.Value] = []
        for case in stmt.cases:
            for label in case.labels:
                self._case_label(label, type_, seen)
            self._case_body(case.body, "case")
        if stmt.default is not None:
            self._case_body(stmt.default, "default")
        return self.breaks.pop() or stmt.default is None

    def _case_label(self, label: ast.Expr, type_: Type, seen: list[ast.Value]) -> None:
        self.expressions.constant_value(label)
        if ERROR in (label.type, type_):
            return
        self.conversions.convert(label, type_)
        if label.value is None:
            if str(label.type) != "null":
                self.context.error(label.position, "Expected constant value")
        elif label.value in seen:
            self.context.error(label.position, "Duplicate case")
        seen.append(label.value)

    def _case_body(self, body: list[ast.Stmt], label: str) -> None:
        completes = self._scoped(body)
        if completes and body:
            message = f"'{label}' must end with 'break', 'continue', 'return' or 'throw'"
            self.context.error(body[-1].position, message)

    def _return(self, stmt: ast.Return) -> None:
        assert self.context.method is not None
        if stmt.expr is None:
            if self.context.method.type not in (VOID, ERROR):
                self.context.error(stmt.position, "Missing return value")
            return
        self.expressions.value_of(stmt.expr)
        if self.context.method.type == VOID:
            self.context.error(stmt.position, "Void method cannot return a value")
            return
        self.conversions.convert(stmt.expr, self.context.method.type)
        if self._is_local_storage(stmt.expr) and self.context.method.type not in (STRING_STORAGE, ERROR):
            self.context.error(stmt.expr.position, "Returning dangling reference to local storage")

    @staticmethod
    def _is_local_storage(expr: ast.Expr) -> bool:
        symbol = getattr(expr, "symbol", None)
        return (
            isinstance(symbol, ast.Var)
            and not symbol.is_parameter
            and not symbol.is_foreach
            and (is_storage(symbol.type) or symbol.type == STRING_STORAGE)
        )

    def _assert(self, stmt: ast.Assert) -> bool:
        if isinstance(stmt.condition, ast.Is):
            self.expressions.value_of(stmt.condition)
        else:
            self.expressions.boolean(stmt.condition)
        if stmt.message is not None:
            self.expressions.value_of(stmt.message)
            if stmt.message.type != ERROR and not isinstance(stmt.message.type, StringType):
                self.context.error(stmt.message.position, "The second argument of 'assert' must be a string")
        return stmt.condition.value is not False

    def _throw(self, stmt: ast.Throw) -> None:
        if stmt.message is not None:
            self.expressions.value_of(stmt.message)
            if stmt.message.type != ERROR and not isinstance(stmt.message.type, StringType):
                self.context.error(stmt.message.position, "Exception accepts a string argument")
        if not self.context.is_exception(self.context.globals.get(stmt.name)):
            self.context.error(stmt.position, f"'{stmt.name}' is not an exception class")
        elif not self.context.may_throw(stmt.name):
            self.context.error(stmt.position, f"Method must be marked 'throws {stmt.name}'")

    def _native(self, stmt: ast.NativeStmt) -> None:
        """Take every variable whose name occurs in the text as assigned, and every constant as used."""
        words = native_words(stmt)
        for scope in self.context.scopes:
            for name, symbol in scope.items():
                if name not in words and snake_case(name) not in words:
                    continue
                if isinstance(symbol, ast.Var):
                    symbol.is_assigned = True
                else:
                    self.context.uses.add(symbol)
