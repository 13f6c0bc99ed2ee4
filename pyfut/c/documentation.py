"""Doxygen comments."""

from __future__ import annotations

from pyfut import doc
from pyfut.c.names import Names
from pyfut.output import Output
from pyfut.syntax import ast


def render(lines: list[str]) -> list[str]:
    """Return the lines of a documentation comment as a C comment shows them."""
    return [line.replace("*/", "* /") for line in doc.render(lines, lambda code: f"`{code}`")]


class Documentation:
    """Writes documentation comments."""

    def __init__(self, output: Output, names: Names) -> None:
        self.output = output
        self.names = names

    def write(self, lines: list[str], extra: list[str] | None = None) -> None:
        """Write a comment, if there is something to say."""
        text = render(lines) + (extra or [])
        if len(text) == 1:
            self.output.line(f"/** {text[0]} */")
        elif text:
            self.output.line("/**")
            self.output.write([f" * {line}".rstrip() for line in text])
            self.output.line(" */")

    def write_method(self, method: ast.MethodDecl) -> None:
        """Write the comment of a method, its parameters included."""
        extra: list[str] = []
        for parameter in method.parameters:
            rendered = [line for line in render(parameter.doc) if line]
            if rendered:
                extra.append(f"@param {self.names.var(parameter)} {rendered[0]}")
                extra += [f"  {line}" for line in rendered[1:]]
        self.write(method.doc, extra)
