"""Members of classes: their types, and their bodies."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.checks.expressions import Expressions
from pyfut.checks.initializers import Initializers
from pyfut.checks.statements import Statements
from pyfut.checks.types import ERROR, INT, VOID, ArrayType, ClassType, Kind, is_storage
from pyfut.syntax import ast


class Members:
    """Checks the members of classes."""

    def __init__(
        self, context: Context, expressions: Expressions, initializers: Initializers, statements: Statements
    ) -> None:
        self.context = context
        self.expressions = expressions
        self.types = expressions.types
        self.initializers = initializers
        self.statements = statements

    def collect(self, decl: ast.ClassDecl) -> None:
        """Make the names of the members known."""
        for member in decl.members:
            if isinstance(member, (ast.FieldDecl, ast.ConstDecl, ast.MethodDecl)):
                if isinstance(member, ast.MethodDecl) and member.is_constructor:
                    continue
                if member.name in decl.scope:
                    self.context.error(member.position, "Duplicate symbol")
                else:
                    decl.scope[member.name] = member

    def resolve_values(self, decl: ast.ClassDecl) -> None:
        """Resolve the types of fields and constants."""
        self.context.owner = decl
        for member in decl.members:
            if isinstance(member, ast.FieldDecl):
                if decl.modifier == "static":
                    self.context.error(member.position, "Field in a static class")
                member.type = self.initializers.refuse_assignable(self.types.resolve_type(member.written), member.init)
                if member.type == VOID:
                    self.context.error(member.position, "Field cannot be void")
                self._check_not_own_storage(decl, member)
            elif isinstance(member, ast.ConstDecl):
                self.expressions.constants.resolve_const(member)
        self.context.owner = None

    def resolve_methods(self, decl: ast.ClassDecl) -> None:
        """Resolve the types of methods, which constants may call."""
        self.context.owner = decl
        for member in decl.members:
            if isinstance(member, ast.MethodDecl):
                self._resolve_method(member)
        self.context.owner = None

    def _check_not_own_storage(self, decl: ast.ClassDecl, member: ast.FieldDecl) -> None:
        type_ = member.type
        while isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            type_ = type_.element
        if isinstance(type_, ClassType) and type_.kind is Kind.STORAGE and decl.derives_from(type_.decl):
            self.context.error(member.position, f"Class '{decl.name}' cannot contain itself")

    def _resolve_method(self, method: ast.MethodDecl) -> None:
        method.type = VOID if method.written is None else self.types.resolve_type(method.written)
        if is_storage(method.type):
            self.context.refuse(method.position, "returning an object or array storage")
            method.type = ERROR
        self._resolve_parameters(method)
        for thrown in method.throws:
            if not self.context.is_exception(self.context.globals.get(thrown.name)):
                self.context.error(thrown.position, f"'{thrown.name}' is not an exception class")
        if method.name == "Main":
            self._check_main(method)

    def _resolve_parameters(self, method: ast.MethodDecl) -> None:
        names: set[str] = set()
        for parameter in method.parameters:
            parameter.type = self.types.resolve_type(parameter.written)
            if parameter.type == VOID:
                self.context.error(parameter.position, "Parameter cannot be void")
            if is_storage(parameter.type):
                self.context.refuse(parameter.position, "parameter of a storage type")
                parameter.type = ERROR
            if parameter.name in names:
                self.context.error(parameter.position, "Duplicate symbol")
            names.add(parameter.name)
            if parameter.init is not None:
                self._check_default(parameter.init, parameter)

    def _check_default(self, init: ast.Expr, parameter: ast.Var) -> None:
        self.expressions.value_of(init)
        self.expressions.conversions.convert(init, parameter.type)
        if init.value is None and str(init.type) != "null":
            self.context.error(init.position, "Expected constant value")

    def _check_main(self, method: ast.MethodDecl) -> None:
        assert method.written is not None
        if not method.is_static or method.visibility is not ast.Visibility.PUBLIC:
            self.context.error(method.position, "'Main' method must be 'public static'")
        if method.type not in (VOID, INT):
            self.context.error(method.written.position, "'Main' method must return 'void' or 'int'")
        if len(method.parameters) > 1:
            message = "'Main' method must have no parameters or one 'string[]' parameter"
            self.context.error(method.position, message)
        elif method.parameters and str(method.parameters[0].type) != "string[]":
            self.context.error(method.parameters[0].position, "'Main' method parameter must be 'string[]'")
        if self.context.program.main is not None:
            self.context.error(method.position, "Duplicate 'Main' method")
        self.context.program.main = method

    def check_bodies(self, decl: ast.ClassDecl) -> None:
        """Check initial values and methods."""
        self.context.owner = decl
        for field in decl.fields:
            self.context.method, self.context.uses, self.context.scopes = None, decl.uses, []
            self.expressions.objects.instantiate_storage(field.type, field.position)
            if field.init is not None:
                self.initializers.check_init(field.init, field.type, field.position)
        for member in decl.members:
            if isinstance(member, ast.MethodDecl) and member.body is not None:
                self.statements.check_method(member)
        self.context.owner, self.context.method = None, None
