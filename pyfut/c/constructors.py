"""Functions that construct and destruct objects."""

from __future__ import annotations

from pyfut.c.hierarchy import held_class, sets_table
from pyfut.c.kit import Kit
from pyfut.c.lifetimes import Lifetimes
from pyfut.c.statements import Statements
from pyfut.c.structures import Structures
from pyfut.checks.types import STRING_STORAGE, ArrayType, Kind, is_dynamic, is_storage
from pyfut.syntax import ast
from pyfut.syntax.flow import statements_of
from pyfut.syntax.walk import without_fields


class Constructors:
    """Writes functions that construct and destruct."""

    def __init__(self, kit: Kit, lifetimes: Lifetimes, structures: Structures, statements: Statements) -> None:
        self.output = kit.output
        self.place = kit.place
        self.needs = kit.needs
        self.names = kit.names
        self.cleanups = kit.cleanups
        self.lifetimes = lifetimes
        self.structures = structures
        self.statements = statements
        self.assignments = statements.assignments
        self.conversions = statements.expressions.conversions
        self.ownership = statements.expressions.ownership

    def write_construct(self, decl: ast.ClassDecl) -> None:
        """Write the function that initializes an object: base, table, fields in order, then the constructor."""
        name = self.names.type(decl)
        self.output.write(["", f"static void {name}_Construct({name} *self)", "{"])
        with self.place.inside(decl.constructor), self.output.indented():
            start = len(self.output.lines)
            self.cleanups.enter()
            if decl.base is not None and self.lifetimes.constructs(decl.base):
                self.output.line(f"{self.names.type(decl.base)}_Construct(&self->base);")
            if sets_table(decl):
                self.structures.write_table(decl)
            for field in decl.fields:
                if self.lifetimes.initialized(field):
                    self._init_field(field)
            self.cleanups.exit(reached=True)
            if len(self.output.lines) == start and not self.place.reads.this:
                self.output.line("(void) self;")
            if decl.constructor is not None:
                self.statements.blocks.scope(statements_of(decl.constructor.body))
        self.output.line("}")

    def _init_field(self, field: ast.FieldDecl) -> None:
        target = f"self->{self.names.local(field.name)}"
        type_, init = field.type, field.init
        self.place.start_statement()
        if isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
            if init is not None or held_class(type_) is None:
                self.needs.include("string.h")
                self.output.line(f"memset({target}, 0, sizeof({target}));")
            self.lifetimes.construct(target, type_)
        elif is_storage(type_):
            self.lifetimes.construct(target, type_)
            self.assignments.field_values(f"{target}.", init)
        elif is_dynamic(type_):
            value = self.needs.null() if init is None else self.ownership.owned(without_fields(init), type_)
            self.output.line(f"{target} = {value};")
            self.assignments.field_values(f"{target}->", init)
        elif type_ == STRING_STORAGE:
            value = self.needs.null() if init is None else self.ownership.owned_string(init)
            self.output.line(f"{target} = {value};")
        else:
            assert init is not None
            self.output.line(f"{target} = {self.conversions.coerce(init, type_)};")

    def write_destruct(self, decl: ast.ClassDecl) -> None:
        """Write the function that releases what an object holds."""
        name = self.names.type(decl)
        self.output.write(["", f"static void {name}_Destruct({name} *self)", "{"])
        with self.output.indented():
            for field in reversed(decl.fields):
                self.output.write(self.lifetimes.destruction(f"self->{self.names.local(field.name)}", field.type))
            if decl.base is not None and self.lifetimes.class_destructs(decl.base):
                self.output.line(f"{self.names.type(decl.base)}_Destruct(&self->base);")
        self.output.line("}")

    def write_new_and_delete(self, decl: ast.ClassDecl) -> None:
        """Write the functions by which other code creates and deletes objects."""
        self.needs.include("stdlib.h")
        name = self.names.type(decl)
        self.output.write(
            [
                "",
                f"{name} *{name}_New(void)",
                "{",
                f"\t{name} *self = ({name} *) malloc(sizeof({name}));",
                "\tif (self != NULL)",
                f"\t\t{name}_Construct(self);",
                "\treturn self;",
                "}",
                "",
                f"void {name}_Delete({name} *self)",
                "{",
            ]
        )
        if self.lifetimes.class_destructs(decl):
            self.output.write(["\tif (self == NULL)", "\t\treturn;", f"\t{name}_Destruct(self);"])
        self.output.write(["\tfree(self);", "}"])
