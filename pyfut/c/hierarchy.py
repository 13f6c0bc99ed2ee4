"""Classes in C: a base is the first member of a structure, virtual methods are in tables."""

from __future__ import annotations

from pyfut.checks.types import ArrayType, ClassType, Kind, Type
from pyfut.syntax import ast


def is_abstract(decl: ast.ClassDecl) -> bool:
    """Whether there are no objects of exactly this class."""
    return decl.modifier == "abstract"


def introduces_virtual(decl: ast.ClassDecl) -> bool:
    """Whether a class declares virtual methods that its bases do not have."""
    return bool(introduced(decl))


def introduced(decl: ast.ClassDecl) -> list[ast.MethodDecl]:
    """Return the virtual methods that the bases of a class do not have."""
    return [m for m in decl.methods if m.is_virtual and m.overridden is None]


def table_classes(decl: ast.ClassDecl) -> list[ast.ClassDecl]:
    """Return the class and its bases that introduce virtual methods, the outermost base first."""
    bases = table_classes(decl.base) if decl.base is not None else []
    return [*bases, decl] if introduces_virtual(decl) else bases


def table_holder(decl: ast.ClassDecl) -> ast.ClassDecl:
    """Return the class that holds the pointer to the table of virtual methods."""
    return (table_classes(decl) or [decl])[0]


def sets_table(decl: ast.ClassDecl) -> bool:
    """Whether objects of exactly this class have a table of virtual methods."""
    return bool(table_classes(decl)) and not is_abstract(decl)


def final_method(method: ast.MethodDecl, decl: ast.ClassDecl) -> ast.MethodDecl:
    """Return the method that a call on an object of exactly this class executes."""
    found = decl.find(method.name)
    assert isinstance(found, ast.MethodDecl)
    return found


def base_path(from_: ast.ClassDecl, to: ast.ClassDecl) -> str:
    """Return `base.base.`, which leads from a class to one of its bases."""
    path = ""
    while from_ is not to:
        assert from_.base is not None
        from_ = from_.base
        path += "base."
    return path


def held_class(type_: Type) -> ast.ClassDecl | None:
    """Return the class of an object storage, or of the elements of an array of them."""
    while isinstance(type_, ArrayType) and type_.kind is Kind.STORAGE:
        type_ = type_.element
    return type_.decl if isinstance(type_, ClassType) and type_.kind is Kind.STORAGE else None


def is_exception(decl: ast.ClassDecl | None) -> bool:
    """Whether a class is one of exceptions, which do not exist in C."""
    return decl is not None and (decl.name == "Exception" or is_exception(decl.base))


def storages_first(classes: list[ast.ClassDecl]) -> list[ast.ClassDecl]:
    """Return the classes to be written, bases and classes of storage fields before those that hold them."""
    ordered: list[ast.ClassDecl] = []

    def add(decl: ast.ClassDecl) -> None:
        if decl in ordered or not decl.emitted or is_exception(decl):
            return
        if decl.base is not None:
            add(decl.base)
        for field in decl.fields:
            held = held_class(field.type)
            if held is not None:
                add(held)
        ordered.append(decl)

    for decl in classes:
        add(decl)
    return ordered
