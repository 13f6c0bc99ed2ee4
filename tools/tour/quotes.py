"""Lines of the engine and of the numpy reference, quoted by the names of their methods.

A name or a line that is no longer there is an error, so the tour cannot show what has gone.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from textwrap import dedent

from pyllama3.analysis import reference
from pyllama3.analysis.source.methods import Method, read_methods

from . import TourError

Part = str | list[str]
"""What to quote: the line that has a text, or all from the line that has one to the line that has another."""


class Sources:
    """The methods of the engine in a folder."""

    def __init__(self, folder: Path) -> None:
        self.methods = {str(method): method for method in read_methods(folder)}
        self.files = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.fu"))}

    def method(self, name: str) -> Method:
        """Return a method by Class.Method.

        Raises:
            TourError: there is none.
        """
        if name not in self.methods:
            named = [other for other in self.methods if other.split(".")[1] == name.split(".")[-1]]
            hint = f"; there is {', '.join(named)}" if named else ""
            raise TourError(f"src/ has no method {name}{hint}: mend the name in tools/tour/tour.md.jinja")
        return self.methods[name]

    def file_of(self, cls: str) -> str:
        """Return the name of the file in which a class, or an enumeration, is.

        Raises:
            TourError: it is in none.
        """
        found = [name for name, text in self.files.items() if re.search(rf"^(\w+ )*(class|enum) {cls}$", text, re.M)]
        if len(found) != 1:
            raise TourError(f"src/ has no class {cls}: mend the name in tools/tour/tour.md.jinja")
        return found[0]

    def quote(self, name: str, *parts: Part) -> str:
        """Return a method without comments and alternatives for one target, or parts of it.

        Raises:
            TourError: the method, or a part, is not there.
        """
        method = self.method(name)
        lines = _plain(method.fusion.splitlines())
        return f"// {name} in src/{method.file}\n{_cut(name, lines, parts)}"


def quote_numpy(name: str, *parts: Part) -> str:
    """Return a function of the reference, or `Class.method`, without its docstring, or parts of it.

    Raises:
        TourError: it, or a part, is not there.
    """
    text = Path(reference.__file__).read_text(encoding="utf-8")
    node: ast.AST = ast.parse(text)
    for step in name.split("."):
        inside = [child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == step]
        if not inside:
            raise TourError(f"the reference has no {name}: mend the name in tools/tour/tour.md.jinja")
        node = inside[0]
    assert isinstance(node, ast.FunctionDef)
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    if ast.get_docstring(node) is not None:
        docstring = node.body[0]
        del lines[docstring.lineno - node.lineno : (docstring.end_lineno or 0) - node.lineno + 1]
    return _cut(name, lines, parts)


def _plain(lines: list[str]) -> list[str]:
    """Return the lines that are plain Fusion: without `///`, of alternatives the last, the head of a method in one."""
    plain: list[str] = []
    kept = [True]
    for line in lines:
        if line.startswith("#if"):
            kept.append(False)
        elif line.startswith(("#elif", "#else")):
            kept[-1] = line.startswith("#else")
        elif line.startswith("#endif"):
            kept.pop()
        elif all(kept) and not line.lstrip().startswith("///"):
            plain.append(line)
    head, brace, body = "\n".join(plain).partition("\n{")
    head = re.sub(r"\s*\n\s*", " ", head).replace("( ", "(")
    return (head + brace + body).splitlines()


def _cut(name: str, lines: list[str], parts: tuple[Part, ...]) -> str:
    """Return parts of the lines, each moved to the left, with "..." between those that are not neighbours."""
    if not parts:
        return dedent("\n".join(lines))
    runs: list[list[str]] = []
    last = -1
    for part in parts:
        begin_text, end_text = (part, part) if isinstance(part, str) else part
        begin = _find(name, lines, begin_text, last + 1)
        end = begin if begin_text == end_text else _find(name, lines, end_text, begin)
        if begin > last + 1 or not runs:
            runs.append([])
        runs[-1] += lines[begin : end + 1]
        last = end
    return "\n...\n".join(dedent("\n".join(run)) for run in runs)


def _find(name: str, lines: list[str], text: str, begin: int) -> int:
    found = next((n for n in range(begin, len(lines)) if text in lines[n]), None)
    if found is None:
        raise TourError(f"{name} has no line with '{text}' (any more): mend the quote in tools/tour/tour.md.jinja")
    return found
