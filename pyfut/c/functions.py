"""Functions that implement methods."""

from __future__ import annotations

from pyfut.c.blocks import Blocks
from pyfut.c.kit import Kit
from pyfut.c.signatures import Signatures
from pyfut.checks.types import STRING_STORAGE, VOID, is_dynamic
from pyfut.syntax import ast
from pyfut.syntax.flow import completes, statements_of


class Functions:
    """Writes functions."""

    def __init__(self, kit: Kit, blocks: Blocks) -> None:
        self.output = kit.output
        self.place = kit.place
        self.needs = kit.needs
        self.names = kit.names
        self.cleanups = kit.cleanups
        self.blocks = blocks
        self.signatures = Signatures(kit)

    def write(self, method: ast.MethodDecl, storage_class: str = "") -> None:
        """Write the function of a method."""
        self.output.line(f"{storage_class}{self.signatures.of(method)}")
        self.output.line("{")
        with self.place.inside(method), self.output.indented():
            if not method.is_static and not self.place.reads.this:
                self.output.line("(void) self;")
            for parameter in method.parameters:
                self._mark_unread(parameter)
            self._body(method)
        self.output.line("}")

    def write_main(self, method: ast.MethodDecl) -> None:
        """Write `main`."""
        self.output.line(f"int main({'int argc, char **argv' if method.parameters else 'void'})")
        self.output.line("{")
        with self.place.inside(method), self.output.indented():
            if method.parameters and not self.place.reads.argument_count:
                self.output.line("(void) argc;")
            for parameter in method.parameters:
                name = self.names.var(parameter)
                self.output.line(f"const char *const *{name} = (const char *const *) (argv + 1);")
                self._mark_unread(parameter)
            self._body(method)
            if method.type == VOID:
                self.output.line("return 0;")
        self.output.line("}")

    def _mark_unread(self, parameter: ast.Var) -> None:
        """Tell the C compiler of a parameter whose value is not used."""
        if not self.place.reads.has(parameter):
            self.output.line(f"(void) {self.names.var(parameter)};")

    def _body(self, method: ast.MethodDecl) -> None:
        """Write the statements of a method, which owns some of its parameters."""
        self.cleanups.enter()
        for parameter in method.parameters:
            if is_dynamic(parameter.type):
                self.cleanups.add(f"{self.needs.helper('FuShared_Release')}({self.names.var(parameter)});")
        for parameter in method.parameters:
            if parameter.type == STRING_STORAGE:
                self.cleanups.add(f"free({self.names.var(parameter)});")
        statements = statements_of(method.body)
        self.blocks.scope(statements)
        self.cleanups.exit(completes(statements))
        if completes(statements) and method.throws and method.type == VOID:
            self.output.line("return true;")
