"""What the Python module being written needs at its top, and the method that is being written."""

from __future__ import annotations

from pyfut.errors import Diagnostics
from pyfut.python.names import Names
from pyfut.syntax import ast


class Module:
    """Collects imports, helpers and resources; all writers share one."""

    def __init__(self, program: ast.Program, diagnostics: Diagnostics, names: Names) -> None:
        self.program = program
        self.diagnostics = diagnostics
        self.names = names
        self.imports: set[str] = set()
        self.helpers: set[str] = set()
        """Names of `runtime.HELPERS`."""
        self.resources: dict[str, bytes] = {}
        self.method: ast.MethodDecl | None = None

    def refuse(self, expr: ast.Expr, construct: str) -> str:
        """Refuse a construct; return a placeholder."""
        self.diagnostics.unsupported(expr.position, f"{construct} in Python")
        return "0"

    def helper(self, name: str) -> str:
        """Request a function of `runtime.HELPERS`; return its name."""
        self.helpers.add(name)
        return name

    def builtin(self, name: str) -> str:
        """Return the name of a builtin function, also where a parameter hides it."""
        return f"{self.imported('builtins')}.{name}" if self._is_parameter(name) else name

    def imported(self, name: str) -> str:
        """Import a module; return its name, which is another one where a parameter hides it."""
        if not self._is_parameter(name):
            self.imports.add(name)
            return name
        self.imports.add(f"{name} as _{name}")
        return f"_{name}"

    def _is_parameter(self, name: str) -> bool:
        return self.method is not None and any(self.names.var(p) == name for p in self.method.parameters)
