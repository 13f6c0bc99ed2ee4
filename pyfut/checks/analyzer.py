"""A whole program."""

from __future__ import annotations

from pyfut.checks.bases import check_circular_bases, resolve_base
from pyfut.checks.context import Context
from pyfut.checks.enums import number_values
from pyfut.checks.expressions import Expressions
from pyfut.checks.initializers import Initializers
from pyfut.checks.members import Members
from pyfut.checks.overrides import check_overrides
from pyfut.checks.statements import Statements
from pyfut.errors import Diagnostics
from pyfut.syntax import ast


def analyze(program: ast.Program, diagnostics: Diagnostics) -> None:
    """Check a program and complete its syntax tree; errors go to the diagnostics."""
    context = Context(program, diagnostics)
    expressions = Expressions(context)
    initializers = Initializers(context, expressions)
    members = Members(context, expressions, initializers, Statements(context, expressions, initializers))
    _collect_names(context)
    for decl in program.classes:
        resolve_base(context, decl)
    check_circular_bases(context)
    for enum in program.enums:
        number_values(context, expressions, enum)
    for decl in program.classes:
        members.collect(decl)
    for decl in program.classes:
        members.resolve_methods(decl)
    for decl in program.classes:
        members.resolve_values(decl)
    for decl in program.classes:
        check_overrides(context, decl)
    for decl in program.classes:
        members.check_bodies(decl)


def _collect_names(context: Context) -> None:
    declarations: list[ast.ClassDecl | ast.EnumDecl] = [*context.program.enums, *context.program.classes]
    for decl in sorted(declarations, key=lambda d: d.position.line):
        if decl.name in context.globals:
            context.error(decl.position, "Duplicate symbol")
        else:
            context.globals[decl.name] = decl
