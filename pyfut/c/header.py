"""The header."""

from __future__ import annotations

from pyfut.c.documentation import Documentation
from pyfut.c.enums import write_enum
from pyfut.c.hierarchy import storages_first
from pyfut.c.interface import has_new, is_public_const, is_public_method
from pyfut.c.kit import Kit
from pyfut.c.signatures import Signatures
from pyfut.checks.types import ArrayType
from pyfut.errors import Diagnostics
from pyfut.syntax import ast

DEFINING_TYPES = {"stdbool.h", "stddef.h", "stdint.h"}
"""The standard headers that prototypes may need."""


class HeaderFile:
    """Writes the `.h` file."""

    def __init__(self, program: ast.Program, diagnostics: Diagnostics, prefix: str) -> None:
        self.program = program
        self.kit = Kit(program, diagnostics, prefix)
        self.output = self.kit.output
        self.names = self.kit.names
        self.documentation = Documentation(self.output, self.names)
        self.signatures = Signatures(self.kit)

    def text(self, generated: str) -> str:
        """Return the text, which starts with the line `generated`."""
        for enum in self.program.enums:
            if enum.emitted and enum.public:
                self.output.line()
                write_enum(self.kit, self.documentation, enum)
        classes = [decl for decl in storages_first(self.program.classes) if decl.public]
        for decl in classes:
            if decl.modifier != "static":
                self.output.line()
                self.documentation.write(decl.doc)
                self.output.line(f"typedef struct {self.names.type(decl)} {self.names.type(decl)};")
        for decl in classes:
            self._members(decl)
        includes = [f"#include <{header}>" for header in sorted(self.kit.needs.includes & DEFINING_TYPES)]
        start = [generated, "#pragma once", *includes, "#ifdef __cplusplus", 'extern "C" {', "#endif"]
        return "\n".join([*start, *self.output.lines, "", "#ifdef __cplusplus", "}", "#endif", ""])

    def _members(self, decl: ast.ClassDecl) -> None:
        if decl.modifier == "static" and decl.doc:
            self.output.line()
            self.documentation.write(decl.doc)
        for const in decl.constants:
            if is_public_const(const):
                self.output.line()
                self.documentation.write(const.doc)
                is_array = isinstance(const.type, ArrayType)
                self.output.line(self.kit.values.const_array(const) if is_array else self.kit.values.define(const))
        if has_new(decl):
            self.output.line()
            if decl.constructor is not None:
                self.documentation.write(decl.constructor.doc)
            name = self.names.type(decl)
            self.output.write([f"{name} *{name}_New(void);", f"void {name}_Delete({name} *self);"])
        for method in decl.methods:
            if is_public_method(method):
                self.output.line()
                self.documentation.write_method(method)
                self.output.line(f"{self.signatures.of(method)};")
