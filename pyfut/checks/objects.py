"""Objects: `new`, initializers, `is`."""

from __future__ import annotations

from pyfut.checks.context import Context
from pyfut.checks.conversions import Conversions
from pyfut.checks.names import Names
from pyfut.checks.types import BOOL, ERROR, LONG, ArrayType, ClassType, Kind, Type, is_storage
from pyfut.checks.whole import Whole
from pyfut.checks.written_types import WrittenTypes
from pyfut.errors import Position
from pyfut.syntax import ast


class Objects:
    """Checks the creation of objects."""

    def __init__(
        self, context: Context, whole: Whole, conversions: Conversions, types: WrittenTypes, names: Names
    ) -> None:
        self.context = context
        self.whole = whole
        self.conversions = conversions
        self.types = types
        self.names = names

    def _instantiate(self, decl: ast.ClassDecl, position: Position) -> None:
        """Check that objects of a class may be created and note the use."""
        if decl.modifier in ("abstract", "static"):
            self.context.error(position, f"Cannot instantiate {decl.modifier} class")
        self.context.uses.add(decl)

    def new(self, expr: ast.New) -> Type:
        """Check `new`."""
        written = expr.written
        type_ = self._resolve_new(written, bool(expr.fields))
        if isinstance(type_, ClassType):
            self.check_fields(expr.fields, type_.decl)
        return type_

    def _resolve_new(self, written: ast.TypeNode, initialized: bool) -> Type:
        """Return the dynamic reference type that `new written` has; with an initializer it needs no parentheses."""
        if written.brackets:
            length = written.brackets[0].length
            if written.marks and not written.storage and written.marks not in ("?", "#", "!", "#?", "!?"):
                return self.context.error(written.position, "Invalid argument to new")
            if length is None:
                return self.context.error(written.position, "Invalid argument to new")
            self.whole.value_of(length)
            self.conversions.convert(length, LONG)
            inner = ast.TypeNode(written.position, written.name, written.storage, written.marks, written.brackets[1:])
            element = self.types.resolve_type(inner)
            self.instantiate_storage(element, written.position)
            return ERROR if element == ERROR else ArrayType(element, Kind.DYNAMIC)
        type_ = self.types.resolve_type(written)
        if type_ == ERROR:
            return ERROR
        if not isinstance(type_, ClassType) or written.marks or not (written.storage or initialized):
            return self.context.error(written.position, "Invalid argument to new")
        self._instantiate(type_.decl, written.position)
        return ClassType(type_.decl, Kind.DYNAMIC)

    def instantiate_storage(self, type_: Type, position: Position) -> None:
        """Note the class instantiated by a storage of the given type."""
        while isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            type_ = type_.element
        if isinstance(type_, ClassType) and type_.kind is Kind.STORAGE:
            self._instantiate(type_.decl, position)

    def check_fields(self, fields: list[ast.FieldInit], decl: ast.ClassDecl) -> None:
        """Check `{ Field = value }` of an object of the given class."""
        for init in fields:
            self.whole.value_of(init.expr)
            symbol = decl.find(init.name)
            if symbol is None:
                self.context.error(init.position, f"'{init.name}' not found")
                continue
            if not isinstance(symbol, ast.FieldDecl):
                self.context.error(init.position, "Expected a field")
                continue
            init.symbol = symbol
            self.names.check_visible(symbol, init.position, decl)
            self.conversions.convert(init.expr, symbol.type)

    def is_instance(self, expr: ast.Is) -> Type:
        """Check `object is type name`, and declare the variable."""
        source = self.whole.value_of(expr.object)
        if source != ERROR and (not isinstance(source, ClassType) or is_storage(source)):
            return self.context.error(expr.position, "Left hand side of the 'is' operator must be an object reference")
        decl = self.context.globals.get(expr.written.name)
        if source == ERROR:
            return BOOL
        assert isinstance(source, ClassType)
        if not isinstance(decl, ast.ClassDecl) or expr.written.brackets:
            return self.context.error(expr.position, "Right hand side of the 'is' operator must be a class name")
        if expr.written.storage:
            return self.context.error(expr.position, "'is' with non-reference type")
        left = self.conversions.spell(expr.object)
        name = decl.name
        if source.decl.derives_from(decl):
            self.context.error(expr.position, f"'{left}' is '{source}', 'is {name}' would always equal 'true'")
        elif not decl.derives_from(source.decl):
            self.context.error(
                expr.position,
                f"'{source}' is not base class of '{name}', 'is {name}' would always equal 'false'",
            )
        if expr.variable is not None:
            expr.variable.type = self.types.resolve_type(expr.written)
            target = expr.variable.type
            if isinstance(target, ClassType) and not self.conversions.kind_fits(source.kind, target.kind):
                self.context.error(expr.position, f"'{source}' cannot be casted to '{target}'")
            expr.variable.is_assigned = True
            self.context.declare(expr.variable)
        return BOOL
