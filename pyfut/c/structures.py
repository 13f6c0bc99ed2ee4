"""Structures, and tables of virtual methods."""

from __future__ import annotations

from pyfut.c.documentation import Documentation
from pyfut.c.hierarchy import (
    base_path,
    final_method,
    introduced,
    introduces_virtual,
    table_classes,
    table_holder,
)
from pyfut.c.kit import Kit
from pyfut.c.signatures import Signatures
from pyfut.naming import camel_case
from pyfut.syntax import ast


class Structures:
    """Writes the types of objects."""

    def __init__(self, kit: Kit, documentation: Documentation) -> None:
        self.output = kit.output
        self.needs = kit.needs
        self.names = kit.names
        self.types = kit.types
        self.documentation = documentation
        self.signatures = Signatures(kit)

    def write(self, decl: ast.ClassDecl) -> None:
        """Write the structure of a class, behind the type of its table."""
        name = self.names.type(decl)
        if introduces_virtual(decl):
            self.output.line()
            self._table_type(decl)
        self.output.line()
        if not decl.public:
            self.documentation.write(decl.doc)
        self.output.line(f"struct {name} {{")
        with self.output.indented():
            if decl.base is not None:
                self.output.line(f"{self.names.type(decl.base)} base;")
            if introduces_virtual(decl) and table_holder(decl) is decl:
                self.output.line(f"const {name}Vtbl *vtbl;")
            for member in decl.members:
                self._member(member)
        self.output.line("};")

    def _member(self, member: ast.Node) -> None:
        match member:
            case ast.FieldDecl():
                self.documentation.write(member.doc)
                self.output.line(f"{self.types.declaration(member.type, self.names.local(member.name))};")
            case ast.NativeMember():
                self.output.verbatim(member.text)

    def _table_type(self, decl: ast.ClassDecl) -> None:
        """Write the structure of pointers to the virtual methods that a class introduces."""
        self.output.line("typedef struct {")
        earlier = table_classes(decl)[:-1]
        if earlier:
            self.output.line(f"\t{self.names.type(earlier[-1])}Vtbl base;")
        for method in introduced(decl):
            self.output.line(f"\t{self.signatures.named(method, f'(*{camel_case(method.name)})')};")
        self.output.line(f"}} {self.names.type(decl)}Vtbl;")

    def write_table(self, decl: ast.ClassDecl) -> None:
        """Write the table of a class, and have the object point to it."""
        classes = table_classes(decl)
        self.output.line(f"static const {self.names.type(classes[-1])}Vtbl vtbl = {{")
        with self.output.indented():
            for depth, introducing in enumerate(classes):
                prefix = ".base" * (len(classes) - 1 - depth)
                for method in introduced(introducing):
                    value = self._entry(final_method(method, decl), method)
                    self.output.line(f"{prefix}.{camel_case(method.name)} = {value},")
        self.output.line("};")
        holder = table_holder(decl)
        cast = "" if len(classes) == 1 else f"(const {self.names.type(holder)}Vtbl *) "
        self.output.line(f"self->{base_path(decl, holder)}vtbl = {cast}&vtbl;")

    def _entry(self, final: ast.MethodDecl, method: ast.MethodDecl) -> str:
        """Return the function that a table holds for a virtual method."""
        if final.call_type == "abstract":
            return self.needs.null()
        name = self.names.method(final)
        return name if final.owner is method.owner else f"({self.signatures.named(method, '(*)')}) {name}"
