"""Enumerations."""

from __future__ import annotations

from pyfut.c.documentation import Documentation
from pyfut.c.kit import Kit
from pyfut.naming import upper_case
from pyfut.syntax import ast


def write_enum(kit: Kit, documentation: Documentation, decl: ast.EnumDecl) -> None:
    """Write an enumeration; numbers only where they differ from what C counts."""
    documentation.write(decl.doc)
    kit.output.line("typedef enum {")
    name = kit.names.type(decl)
    following = 0
    with kit.output.indented():
        for value in decl.values:
            documentation.write(value.doc)
            number = f" = {value.number}" if value.init is not None or value.number != following else ""
            following = value.number + 1
            comma = "," if value is not decl.values[-1] else ""
            kit.output.line(f"{name}_{upper_case(value.name)}{number}{comma}")
    kit.output.line(f"}} {name};")
