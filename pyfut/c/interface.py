"""What a program shows to other C code."""

from __future__ import annotations

from pyfut.c.hierarchy import is_abstract
from pyfut.syntax import ast


def is_public_const(const: ast.ConstDecl) -> bool:
    """Whether a constant is in the header."""
    return const.owner.public and const.visibility is ast.Visibility.PUBLIC


def is_public_method(method: ast.MethodDecl) -> bool:
    """Whether the function of a method is in the header."""
    public = method.owner.public and method.visibility is ast.Visibility.PUBLIC
    return public and method.call_type != "abstract" and method.name != "Main"


def has_new(decl: ast.ClassDecl) -> bool:
    """Whether other code can create objects of a class."""
    constructor = decl.constructor
    public = constructor is not None and constructor.visibility is ast.Visibility.PUBLIC
    return decl.public and public and not is_abstract(decl)
