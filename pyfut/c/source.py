"""The source file."""

from __future__ import annotations

from pyfut.c.constructors import Constructors
from pyfut.c.documentation import Documentation
from pyfut.c.enums import write_enum
from pyfut.c.expressions import Expressions
from pyfut.c.functions import Functions
from pyfut.c.hierarchy import storages_first
from pyfut.c.interface import has_new, is_public_const, is_public_method
from pyfut.c.kit import Kit
from pyfut.c.lifetimes import Lifetimes
from pyfut.c.reach import reached
from pyfut.c.statements import Statements
from pyfut.c.structures import Structures
from pyfut.checks.types import ArrayType
from pyfut.errors import Diagnostics
from pyfut.output import Output
from pyfut.syntax import ast


class SourceFile:
    """Writes the `.c` file."""

    def __init__(self, program: ast.Program, diagnostics: Diagnostics, prefix: str) -> None:
        self.program = program
        self.kit = Kit(program, diagnostics, prefix)
        self.output = self.kit.output
        self.names = self.kit.names
        self.documentation = Documentation(self.output, self.names)
        self.lifetimes = Lifetimes(self.kit)
        self.structures = Structures(self.kit, self.documentation)
        statements = Statements(self.kit, Expressions(self.kit, self.lifetimes), self.lifetimes)
        self.functions = Functions(self.kit, statements.blocks)
        self.constructors = Constructors(self.kit, self.lifetimes, self.structures, statements)
        self.classes = storages_first(program.classes)
        self.reached = reached(program, self.names)

    def text(self, generated: str, header_name: str) -> str:
        """Return the text, which starts with the line `generated`."""
        self._types()
        self._constants()
        self._prototypes()
        for decl in self.classes:
            self._definitions(decl)
        return "\n".join(self._top(generated, header_name) + self.output.lines) + "\n"

    def _top(self, generated: str, header_name: str) -> list[str]:
        """Return what goes before the declarations, which is known behind them."""
        output = Output()
        output.line(generated)
        for native in self.program.natives:
            output.verbatim(native)
        output.write([f"#include <{header}>" for header in sorted(self.kit.needs.includes)])
        output.line(f'#include "{header_name}"')
        for helper in self.kit.needs.helpers.values():
            output.write(["", *helper.split("\n")])
        return output.lines

    def _types(self) -> None:
        """Write private enumerations and all structures."""
        for enum in self.program.enums:
            if enum.emitted and not enum.public:
                self.output.line()
                write_enum(self.kit, self.documentation, enum)
        objects = [decl for decl in self.classes if decl.modifier != "static"]
        names = [self.names.type(decl) for decl in objects if not decl.public]
        self._paragraph([f"typedef struct {name} {name};" for name in names])
        for decl in objects:
            self.structures.write(decl)

    def _paragraph(self, lines: list[str]) -> None:
        """Write lines, if there are any, behind an empty one."""
        if lines:
            self.output.write(["", *lines])

    def _constants(self) -> None:
        lines: list[str] = []
        for decl in self.classes:
            for const in decl.constants:
                if is_public_const(const):
                    continue
                if isinstance(const.type, ArrayType):
                    if const in self.reached:
                        lines.append(self.kit.values.const_array(const))
                elif const.visibility is not ast.Visibility.PRIVATE:
                    lines.append(self.kit.values.define(const))
        self._paragraph(lines)

    def _prototypes(self) -> None:
        lines: list[str] = []
        for decl in self.classes:
            name = self.names.type(decl)
            if self._has_construct(decl):
                lines.append(f"static void {name}_Construct({name} *self);")
            if self._has_destruct(decl):
                lines.append(f"static void {name}_Destruct({name} *self);")
            for method in decl.methods:
                if self._is_static(method):
                    lines.append(f"static {self.functions.signatures.of(method)};")
        self._paragraph(lines)

    def _has_construct(self, decl: ast.ClassDecl) -> bool:
        return decl in self.reached and self.lifetimes.constructs(decl)

    def _has_destruct(self, decl: ast.ClassDecl) -> bool:
        return decl in self.reached and self.lifetimes.class_destructs(decl)

    def _is_static(self, method: ast.MethodDecl) -> bool:
        """Whether the function of a method is visible in the source file only."""
        written = method in self.reached and method.call_type != "abstract"
        return written and not is_public_method(method) and method is not self.program.main

    def _definitions(self, decl: ast.ClassDecl) -> None:
        """Write the functions of a class."""
        self.kit.place.owner = decl
        if decl.modifier == "static":
            for member in decl.members:
                if isinstance(member, ast.NativeMember):
                    self.output.line()
                    self.output.verbatim(member.text)
        if self._has_construct(decl):
            self.constructors.write_construct(decl)
        if self._has_destruct(decl):
            self.constructors.write_destruct(decl)
        if has_new(decl):
            self.constructors.write_new_and_delete(decl)
        for method in decl.methods:
            self._method(method)
        self.kit.place.owner = None

    def _method(self, method: ast.MethodDecl) -> None:
        if method is self.program.main:
            self.output.line()
            self.functions.write_main(method)
        elif is_public_method(method):
            self.output.line()
            self.functions.write(method)
        elif self._is_static(method):
            self.output.line()
            self.documentation.write_method(method)
            self.functions.write(method, "static ")
