"""The names of a program in Python."""

from __future__ import annotations

import keyword

from pyfut.naming import snake_case, upper_case, words
from pyfut.syntax import ast

RESERVED = frozenset(keyword.kwlist) | {"dict", "len", "list", "str", "self"}
CALLED = words(
    "abs array bisect bool bytearray bytes float int isinstance map math max min ord print range"
    " sorted struct sys round enum abc"
)
"""Names that generated code uses; local variables called so get another name."""


class Names:
    """Spells names as fut does."""

    def __init__(self, program: ast.Program) -> None:
        self.program = program

    def type(self, decl: ast.ClassDecl | ast.EnumDecl) -> str:
        """Return the name of a class or an enumeration."""
        return decl.name if decl.public else f"_{decl.name}"

    def exception(self, name: str) -> str:
        """Return the name of an exception class."""
        if name == "Exception":
            return name
        return self.type(next(decl for decl in self.program.classes if decl.name == name))

    def member(self, member: ast.FieldDecl | ast.MethodDecl) -> str:
        """Return the name of a field or a method."""
        name = snake_case(member.name)
        if member.visibility is not ast.Visibility.PUBLIC:
            return f"_{name}"
        return f"{name}_" if keyword.iskeyword(name) or name == "len" else name

    def const(self, const: ast.ConstDecl) -> str:
        """Return the name of a constant; a local one is called after its method."""
        name = upper_case(const.name)
        if const.method is not None:
            ordinal = f"_{const.ordinal + 1}" if const.ordinal else ""
            return f"_{upper_case(const.method.name)}_{name}{ordinal}"
        return name if const.visibility is ast.Visibility.PUBLIC else f"_{name}"

    def var(self, var: ast.Var) -> str:
        """Return the name of a local variable or a parameter."""
        name = snake_case(var.name)
        if name in RESERVED or (not var.is_parameter and name in CALLED):
            name += "_"
        return f"{name}{var.shadow + 1}" if var.shadow else name

    def enum_value(self, value: ast.EnumValue) -> str:
        """Return a member of an enumeration."""
        return f"{self.type(value.owner)}.{upper_case(value.name)}"
