"""Types and compile-time values of expressions."""

from __future__ import annotations

from pathlib import Path

from pyfut.checks.calls import Calls
from pyfut.checks.constants import Constants
from pyfut.checks.context import Context
from pyfut.checks.conversions import Conversions
from pyfut.checks.folding import integer_type
from pyfut.checks.formats import Formats
from pyfut.checks.library import Library
from pyfut.checks.mutability import Mutability
from pyfut.checks.names import Names
from pyfut.checks.objects import Objects
from pyfut.checks.operators import Operators
from pyfut.checks.types import (
    BOOL,
    BYTE,
    DOUBLE,
    NULL,
    STRING,
    STRING_STORAGE,
    TYPE_NAME,
    ArrayType,
    Kind,
    Type,
)
from pyfut.checks.written_types import WrittenTypes
from pyfut.syntax import ast


class Expressions:
    """Checks expressions in a context, each part by the class that knows about it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.mutability = Mutability(context)
        self.conversions = Conversions(context, self.mutability)
        self.types = WrittenTypes(context, self, self.conversions)
        self.constants = Constants(context, self, self.conversions, self.types)
        self.names = Names(context, self, self.constants)
        self.operators = Operators(context, self, self.mutability, self.conversions)
        self.objects = Objects(context, self, self.conversions, self.types, self.names)
        self.formats = Formats(context, self.conversions)
        library = Library(context, self, self.mutability, self.conversions, self.formats)
        self.calls = Calls(context, self, self.conversions, library)

    def value_of(self, expr: ast.Expr) -> Type:
        """Check an expression whose value is used."""
        type_ = self.check(expr)
        if type_ == TYPE_NAME:
            expr.type = self.context.error(expr.position, f"'{self.conversions.spell(expr)}' is not an expression")
        elif isinstance(expr, (ast.Name, ast.Member)) and isinstance(expr.symbol, ast.MethodDecl):
            self.context.error(expr.position, f"Method '{expr.name}' must be called")
        return expr.type

    def constant_value(self, expr: ast.Expr) -> Type:
        """Check an expression that is evaluated at compile time, so that what it uses need not exist afterwards."""
        uses, self.context.uses = self.context.uses, set()
        type_ = self.value_of(expr)
        self.context.uses = uses
        return type_

    def boolean(self, expr: ast.Expr) -> None:
        """Check a condition."""
        self.value_of(expr)
        self.conversions.convert(expr, BOOL)

    def check(self, expr: ast.Expr) -> Type:
        """Determine and return the type of `expr`."""
        expr.type = self._check(expr)
        return expr.type

    def _check(self, expr: ast.Expr) -> Type:
        match expr:
            case ast.Literal():
                return self._literal(expr)
            case ast.Name():
                return self.names.name(expr)
            case ast.Member():
                return self.names.member(expr)
            case ast.Index():
                return self.operators.index(expr)
            case ast.Call():
                return self.calls.call(expr)
            case ast.Unary():
                return self.operators.unary(expr)
            case ast.Postfix():
                return self.operators.step(expr)
            case ast.Binary():
                return self.operators.binary(expr)
            case ast.Assign():
                return self.operators.assign(expr)
            case ast.Select():
                return self.operators.select(expr)
            case ast.New():
                return self.objects.new(expr)
            case ast.Is():
                return self.objects.is_instance(expr)
            case ast.Interpolated():
                return self._interpolated(expr)
            case ast.Resource():
                return self._resource(expr)
        assert isinstance(expr, (ast.Aggregate, ast.ObjectInit)), type(expr)
        return self.context.error(expr.position, "Invalid expression")

    @staticmethod
    def _literal(expr: ast.Literal) -> Type:
        expr.value = expr.literal
        match expr.literal:
            case None:
                return NULL
            case bool():
                return BOOL
            case str():
                return STRING
            case float():
                return DOUBLE
            case number:
                return integer_type(number)

    def _resource(self, expr: ast.Resource) -> Type:
        self.value_of(expr.name)
        name = expr.name.value
        if not isinstance(name, str):
            return self.context.error(expr.position, "Resource name must be a string")
        for directory in [*self.context.program.directories, "."]:
            path = Path(directory) / name
            if path.is_file():
                expr.content = path.read_bytes()
                return ArrayType(BYTE, Kind.STORAGE, len(expr.content))
        return self.context.error(expr.position, f"Resource '{name}' not found")

    def _interpolated(self, expr: ast.Interpolated) -> Type:
        texts: list[str] = []
        for part in expr.parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            self.value_of(part.expr)
            self.formats.check_format(part)
            value = part.expr.value
            plain = isinstance(value, (int, str)) and not isinstance(value, bool)
            if plain and not part.width and not part.format:
                texts.append(str(value))
        if len(texts) == len(expr.parts):
            expr.value = "".join(texts)
            return STRING
        return STRING_STORAGE
