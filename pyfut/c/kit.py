"""The tools that all writers of a C file share."""

from __future__ import annotations

from pyfut.c.cleanups import Cleanups
from pyfut.c.names import Names
from pyfut.c.needs import Needs
from pyfut.c.place import Place
from pyfut.c.types import Types
from pyfut.c.values import Values
from pyfut.errors import Diagnostics
from pyfut.output import Output
from pyfut.syntax import ast


class Kit:
    """The lines of one file, what it needs, and how to spell names, types and constants."""

    def __init__(self, program: ast.Program, diagnostics: Diagnostics, prefix: str) -> None:
        self.output = Output()
        self.place = Place(program, diagnostics)
        self.cleanups = Cleanups(self.output)
        self.needs = Needs()
        self.names = Names(prefix, self.place)
        self.types = Types(self.needs, self.names)
        self.values = Values(self.needs, self.names, self.types)
