"""A C file and its header."""

from __future__ import annotations

from pyfut.c.header import HeaderFile
from pyfut.c.source import SourceFile
from pyfut.errors import Diagnostics
from pyfut.syntax import ast

GENERATED = '// Generated automatically with "pyfut". Do not edit.'


class CGenerator:
    """Writes one `.c` file and its header."""

    def __init__(self, program: ast.Program, diagnostics: Diagnostics, prefix: str) -> None:
        self.program = program
        self.diagnostics = diagnostics
        self.prefix = prefix

    def source(self, header_name: str) -> str:
        """Return the text of the `.c` file."""
        return SourceFile(self.program, self.diagnostics, self.prefix).text(GENERATED, header_name)

    def header(self) -> str:
        """Return the text of the `.h` file."""
        return HeaderFile(self.program, self.diagnostics, self.prefix).text(GENERATED)
