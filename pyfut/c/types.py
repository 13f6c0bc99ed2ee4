"""Types and declarations."""

from __future__ import annotations

from pyfut.c.names import Names
from pyfut.c.needs import Needs
from pyfut.checks.types import (
    BOOL,
    BYTE,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    NINT,
    SBYTE,
    SHORT,
    UINT,
    USHORT,
    VOID,
    ArrayType,
    ClassType,
    EnumType,
    Kind,
    StringType,
    Type,
)

NARROW = {BYTE: "uint8_t", SBYTE: "int8_t", SHORT: "int16_t", USHORT: "uint16_t"}


SCALARS: dict[Type, str] = {
    **dict.fromkeys((BYTE, SBYTE, SHORT, USHORT, INT, UINT), "int"),
    NINT: "ptrdiff_t",
    LONG: "int64_t",
    FLOAT: "float",
    DOUBLE: "double",
    BOOL: "bool",
    VOID: "void",
}


class Types:
    """Spells types."""

    def __init__(self, needs: Needs, names: Names) -> None:
        self.needs = needs
        self.names = names

    def element_type(self, type_: Type) -> str:
        """Return the C type of an element of an array."""
        return NARROW[type_] if type_ in NARROW else self.spelled(type_)

    def spelled(self, type_: Type) -> str:
        """Return the C type of a variable."""
        return self.declaration(type_, "").strip()

    def declaration(self, type_: Type, name: str) -> str:
        """Return the declaration of something of the given type: a variable, or a function with its parameters."""
        return self.declare(type_, name, element=False, const=False)

    def declare(self, type_: Type, name: str, element: bool, const: bool) -> str:
        """Return a declaration, that of an `element` of an array or of something that is `const` included."""
        constant = "const " if const else ""
        match type_:
            case ArrayType(element=inner, kind=Kind.STORAGE):
                return self.declare(inner, f"{name}[{type_.length}]", True, const)
            case ArrayType(element=inner):
                pointer = f"*{constant}{name}"
                if isinstance(inner, ArrayType) and inner.kind is Kind.STORAGE:
                    pointer = f"({pointer})"
                return self.declare(inner, pointer, True, type_.kind is Kind.READ)
            case StringType():
                return f"{'' if type_.storage else 'const '}char *{constant}{name}"
            case ClassType() if type_.kind is not Kind.STORAGE:
                qualifier = "const " if type_.kind is Kind.READ else ""
                return f"{qualifier}{self.names.type(type_.decl)} *{constant}{name}"
            case ClassType() | EnumType():
                base = self.names.type(type_.decl)
            case _:
                base = NARROW[type_] if element and type_ in NARROW else SCALARS[type_]
        self.needs.include_type(base)
        return f"{base}{' const' if const else ''} {name}".rstrip()
