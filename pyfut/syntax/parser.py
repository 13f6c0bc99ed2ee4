"""The text of a file to the syntax tree."""

from __future__ import annotations

from pyfut.errors import Diagnostics
from pyfut.syntax.ast import Program
from pyfut.syntax.declaration_parser import DeclarationParser
from pyfut.syntax.source import Source
from pyfut.syntax.token_stream import TokenStream


def parse(
    file: str, text: str, symbols: frozenset[str], diagnostics: Diagnostics, program: Program, emitted: bool
) -> None:
    """Add the declarations of a file to a program; code will be written for them if `emitted`."""
    stream = TokenStream(Source(file, text, diagnostics), symbols)
    DeclarationParser(stream, program, emitted).file()
