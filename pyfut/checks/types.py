"""The types of Fusion expressions."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TypeGuard

from pyfut.syntax import ast
from pyfut.syntax.ast import ERROR as ERROR
from pyfut.syntax.ast import Type as Type


class Kind(enum.Enum):
    """How an object or an array is held: in place or through one of the three kinds of references."""

    STORAGE = "()"
    READ = ""
    WRITE = "!"
    DYNAMIC = "#"


@dataclass(frozen=True)
class Primitive(Type):
    """`void`, `bool`, the type of `null`, a type name used as a value, or what can be printed."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Integer(Type):
    """An integer type with its inclusive range."""

    name: str
    minimum: int
    maximum: int

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Floating(Type):
    """`float` or `double`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class StringType(Type):
    """A string reference or a string storage."""

    storage: bool = False
    optional: bool = False

    @property
    def nullable(self) -> bool:
        """Whether `null` is a value of the type."""
        return self.optional

    def __str__(self) -> str:
        return "string()" if self.storage else "string?" if self.optional else "string"


@dataclass(frozen=True)
class EnumType(Type):
    """A user-defined enumeration."""

    decl: ast.EnumDecl

    def __str__(self) -> str:
        return self.decl.name


@dataclass(frozen=True)
class ClassType(Type):
    """An object storage of a class or a reference to an object of it."""

    decl: ast.ClassDecl
    kind: Kind
    optional: bool = False

    @property
    def nullable(self) -> bool:
        """Whether `null` is a value of the type."""
        return self.optional

    def __str__(self) -> str:
        return f"{self.decl.name}{self.kind.value}{'?' if self.optional else ''}"


@dataclass(frozen=True)
class ArrayType(Type):
    """An array storage of known length or a reference to an array."""

    element: Type
    kind: Kind
    length: int = 0
    optional: bool = False

    @property
    def nullable(self) -> bool:
        """Whether `null` is a value of the type."""
        return self.optional

    def __str__(self) -> str:
        inner, suffixes = self.element, self._brackets()
        while isinstance(inner, ArrayType):
            suffixes += inner._brackets()
            inner = inner.element
        return f"{inner}{suffixes}"

    def _brackets(self) -> str:
        if self.kind is Kind.STORAGE:
            return f"[{self.length}]"
        return f"[]{self.kind.value}{'?' if self.optional else ''}"


VOID = Primitive("void")


BOOL = Primitive("bool")


NULL = Primitive("null")


TYPE_NAME = Primitive("type")


PRINTABLE = Primitive("printable")


BYTE = Integer("byte", 0, 255)


SBYTE = Integer("sbyte", -128, 127)


SHORT = Integer("short", -32768, 32767)


USHORT = Integer("ushort", 0, 65535)


INT = Integer("int", -(1 << 31), (1 << 31) - 1)


UINT = Integer("uint", 0, (1 << 31) - 1)


NINT = Integer("nint", -(1 << 63), (1 << 63) - 1)


LONG = Integer("long", -(1 << 63), (1 << 63) - 1)


FLOAT = Floating("float")


DOUBLE = Floating("double")


STRING = StringType()


STRING_STORAGE = StringType(storage=True)


NAMED_TYPES: dict[str, Type] = {
    str(t): t for t in (VOID, BOOL, BYTE, SBYTE, SHORT, USHORT, INT, UINT, NINT, LONG, FLOAT, DOUBLE, STRING)
}


def is_numeric(type_: Type) -> TypeGuard[Integer | Floating]:
    """Whether arithmetic is defined for the type."""
    return isinstance(type_, (Integer, Floating))


def is_reference(type_: Type) -> TypeGuard[ClassType | ArrayType]:
    """Whether values of the type refer to an object or array held elsewhere."""
    return isinstance(type_, (ClassType, ArrayType)) and type_.kind is not Kind.STORAGE


def is_dynamic(type_: Type) -> TypeGuard[ClassType | ArrayType]:
    """Whether values of the type own a share of a heap object or array."""
    return isinstance(type_, (ClassType, ArrayType)) and type_.kind is Kind.DYNAMIC


def is_storage(type_: Type) -> TypeGuard[ClassType | ArrayType]:
    """Whether the type holds an object or an array in place."""
    return isinstance(type_, (ClassType, ArrayType)) and type_.kind is Kind.STORAGE


def with_kind(type_: ClassType | ArrayType, kind: Kind) -> ClassType | ArrayType:
    """Return the same type held in another way."""
    return replace(type_, kind=kind)


def promote(left: Integer | Floating, right: Integer | Floating) -> Integer | Floating:
    """Return the type in which an arithmetic operator computes."""
    for candidate in (DOUBLE, FLOAT, LONG, NINT):
        if candidate in (left, right):
            return candidate
    return INT
