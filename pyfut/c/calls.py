"""Calls of the methods of the program."""

from __future__ import annotations

import re

from pyfut.c.conversions import Conversions
from pyfut.c.exceptions import Exceptions
from pyfut.c.hierarchy import base_path, final_method, table_holder
from pyfut.c.kit import Kit
from pyfut.c.ownership import Ownership
from pyfut.c.precedence import POSTFIX, UNARY
from pyfut.c.temporaries import Temporaries
from pyfut.c.whole import Whole
from pyfut.checks.types import STRING_STORAGE, ClassType, Kind, Type, is_dynamic, is_storage
from pyfut.naming import camel_case
from pyfut.syntax import ast


class Calls:
    """Writes calls, those of virtual methods included."""

    def __init__(
        self,
        kit: Kit,
        whole: Whole,
        temporaries: Temporaries,
        conversions: Conversions,
        ownership: Ownership,
        exceptions: Exceptions,
    ) -> None:
        self.place = kit.place
        self.names = kit.names
        self.types = kit.types
        self.whole = whole
        self.temporaries = temporaries
        self.conversions = conversions
        self.ownership = ownership
        self.exceptions = exceptions

    def call(self, expr: ast.Call, method: ast.MethodDecl) -> tuple[str, int]:
        """Return a call of a method, checked if it may throw."""
        arguments = []
        for index, parameter in enumerate(method.parameters):
            argument = expr.arguments[index] if index < len(expr.arguments) else parameter.init
            assert argument is not None
            arguments.append(self._argument(argument, parameter.type))
        text = self._invoke(expr, method, arguments)
        return self.exceptions.checked(expr, method, text) if method.throws else (text, POSTFIX)

    def _argument(self, argument: ast.Expr, type_: Type) -> str:
        """Return an argument of a method."""
        if is_dynamic(type_):
            return self.ownership.owned(argument, type_)
        if type_ == STRING_STORAGE:
            return self.ownership.owned_string(argument)
        return self.conversions.coerce(argument, type_)

    def _invoke(self, expr: ast.Call, method: ast.MethodDecl, arguments: list[str]) -> str:
        match expr.target:
            case _ if method.is_static:
                return f"{self.names.method(method)}({', '.join(arguments)})"
            case ast.Member(object=ast.Name(name="base")):
                return self._direct(method, "self", self._owner(), arguments)
            case ast.Member(object=holder) if is_storage(holder.type):
                assert isinstance(holder.type, ClassType)
                final = final_method(method, holder.type.decl)
                return self._direct(final, self.conversions.pointer(holder)[0], holder.type.decl, arguments)
            case ast.Member(object=holder):
                assert isinstance(holder.type, ClassType)
                decl, receiver = holder.type.decl, self._receiver(expr, holder, method)
            case _:
                decl, receiver = self._owner(), "self"
        if not method.is_virtual:
            return self._direct(method, receiver, decl, arguments)
        first = self._as(receiver, decl, method.introducing())
        return f"{self._table_entry(receiver, decl, method)}({', '.join([first, *arguments])})"

    def _owner(self) -> ast.ClassDecl:
        assert self.place.owner is not None
        return self.place.owner

    def _receiver(self, expr: ast.Call, holder: ast.Expr, method: ast.MethodDecl) -> str:
        """Return the object before the name of a method, which a virtual call names twice."""
        if not method.is_virtual:
            return self.whole.expr(holder)
        receiver = self.whole.expr(holder, UNARY)
        if re.fullmatch(r"[\w.>-]+", receiver):
            return receiver
        return self.temporaries.hoist(expr, "a virtual call on an expression", holder.type, receiver)

    def _direct(self, method: ast.MethodDecl, receiver: str, decl: ast.ClassDecl, arguments: list[str]) -> str:
        """Return a call of a function; `receiver` points to an object of the class `decl`."""
        return f"{self.names.method(method)}({', '.join([self._as(receiver, decl, method), *arguments])})"

    def _as(self, receiver: str, decl: ast.ClassDecl, method: ast.MethodDecl) -> str:
        """Return a pointer to an object of the class `decl` as the one that a method takes."""
        if decl is method.owner:
            return receiver
        kind = Kind.WRITE if method.mutator else Kind.READ
        return f"({self.types.spelled(ClassType(method.owner, kind))}) {receiver}"

    def _table_entry(self, receiver: str, decl: ast.ClassDecl, method: ast.MethodDecl) -> str:
        introducing = method.introducing().owner
        holder = table_holder(introducing)
        table = f"{receiver}->{base_path(decl, holder)}vtbl"
        if introducing is not holder:
            table = f"((const {self.names.type(introducing)}Vtbl *) {table})"
        return f"{table}->{camel_case(method.name)}"
