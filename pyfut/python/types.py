"""Type annotations."""

from __future__ import annotations

from pyfut.checks.types import (
    BYTE,
    VOID,
    ArrayType,
    ClassType,
    EnumType,
    Floating,
    Integer,
    Kind,
    StringType,
    Type,
)
from pyfut.python.module import Module
from pyfut.python.names import Names


class Types:
    """Turns types into annotations."""

    def __init__(self, module: Module, names: Names) -> None:
        self.module = module
        self.names = names

    def annotation(self, type_: Type) -> str:
        """Return a type annotation."""
        text = self._plain(type_)
        return f"{text} | None" if type_.nullable else text

    def _plain(self, type_: Type) -> str:
        match type_:
            case Integer():
                return "int"
            case Floating():
                return "float"
            case StringType():
                return "str"
            case EnumType() | ClassType():
                return self.names.type(type_.decl)
            case ArrayType(element=element, kind=kind):
                if element == BYTE:
                    return "bytearray | bytes" if kind is Kind.READ else "bytearray"
                if isinstance(element, (Integer, Floating)):
                    self.module.imports.add("array")
                    return "array.array"
                return f"list[{self.annotation(element)}]"
        return "None" if type_ == VOID else "bool"
