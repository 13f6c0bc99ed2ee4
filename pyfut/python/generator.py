"""A whole Python module."""

from __future__ import annotations

from pyfut.checks.types import VOID
from pyfut.errors import Diagnostics
from pyfut.output import Output
from pyfut.python.classes import Classes
from pyfut.python.module import Module
from pyfut.python.names import Names
from pyfut.python.runtime import HELPERS
from pyfut.syntax import ast


class PythonGenerator:
    """Writes one Python module."""

    def __init__(self, program: ast.Program, diagnostics: Diagnostics) -> None:
        self.program = program
        self.names = Names(program)
        self.module = Module(program, diagnostics, self.names)

    def generate(self) -> str:
        """Return the text of the module."""
        body = self._declarations()
        return "\n".join(self._top() + body) + "\n"

    def _declarations(self) -> list[str]:
        output = Output()
        classes = Classes(output, self.module, self.names)
        for enum in self.program.enums:
            if enum.emitted:
                output.write(["", ""])
                classes.write_enum(enum)
        for decl in bases_first(self.program.classes):
            output.write(["", ""])
            classes.write_class(decl)
        main = self.program.main
        if main is not None and main.owner.emitted:
            self.module.imports.add("sys")
            call = f"{self.names.type(main.owner)}.main({'sys.argv[1:]' if main.parameters else ''})"
            output.write(["", "", 'if __name__ == "__main__":'])
            output.line(f"\t{call if main.type == VOID else f'sys.exit({call})'}")
        return output.lines

    def _top(self) -> list[str]:
        """Return what goes before the declarations, which is known behind them."""
        helpers = [HELPERS[name] for name in sorted(self.module.helpers)]
        imports = self.module.imports.union(*(helper.imports for helper in helpers))
        output = Output()
        output.line('# Generated automatically with "pyfut". Do not edit.')
        output.line("from __future__ import annotations")
        output.write([f"import {name}" for name in sorted(imports)])
        for text in self.program.natives:
            output.verbatim(text)
        for helper in helpers:
            output.write(["", "", *helper.lines])
        if self.module.resources:
            output.write(["", ""])
        output.write([f"{name} = {content!r}" for name, content in self.module.resources.items()])
        return output.lines


def bases_first(classes: list[ast.ClassDecl]) -> list[ast.ClassDecl]:
    """Return the classes to be written, every base before the classes derived from it."""
    ordered: list[ast.ClassDecl] = []

    def add(decl: ast.ClassDecl) -> None:
        if decl in ordered or decl not in classes:
            return
        if decl.base is not None:
            add(decl.base)
        ordered.append(decl)

    for decl in classes:
        add(decl)
    return [decl for decl in ordered if decl.emitted]
