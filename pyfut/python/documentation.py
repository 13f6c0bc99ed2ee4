"""Docstrings."""

from __future__ import annotations

from pyfut import doc
from pyfut.output import Output
from pyfut.python.names import Names
from pyfut.syntax import ast

CODE = {"true": "True", "false": "False", "null": "None"}


def render(lines: list[str]) -> list[str]:
    """Return the lines of a documentation comment as a docstring shows them."""
    text = doc.render(lines, lambda code: f"`{CODE.get(code, code)}`")
    return [line.replace("\\", "\\\\").replace('"""', "'''") for line in text]


class Documentation:
    """Writes docstrings."""

    def __init__(self, output: Output, names: Names) -> None:
        self.output = output
        self.names = names

    def write(self, lines: list[str], extra: list[str] | None = None) -> None:
        """Write a docstring, if there is something to say."""
        text = render(lines)
        if extra:
            text += ["", *extra] if text else extra
        if not text:
            return
        if len(text) == 1 and not text[0].endswith('"'):
            self.output.line(f'"""{text[0]}"""')
            return
        self.output.write([f'"""{text[0]}', *text[1:], '"""'])

    def write_method(self, method: ast.MethodDecl) -> None:
        """Write the docstring of a method, its parameters and exceptions included."""
        fields = [(f"param {self.names.var(p)}", p.doc) for p in method.parameters]
        fields += [(f"raises {t.name}", t.doc) for t in method.throws]
        extra: list[str] = []
        for name, text in fields:
            rendered = [line for line in render(text) if line]
            if rendered:
                extra.append(f":{name}: {rendered[0]}")
                extra += [f"\t{line}" for line in rendered[1:]]
        self.write(method.doc, extra)
