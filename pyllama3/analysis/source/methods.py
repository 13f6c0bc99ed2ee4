"""The methods of the engine as Fusion, and what was generated from them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...backends import engine_dir
from ...backends.binding import snake_case
from ...errors import OptionError, PyLlama3Error
from ...files import PACKAGE

_CLASS = re.compile(r"^(?:public )?(?:static )?class (\w+)")
_METHOD = re.compile(r"^\t(?:public |internal |static )*[\w\[\]!?]+ (\w+)!?\((?!\)[ \[]\w)")  # `Tensor() X;` is a field


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method of the engine."""

    file: str
    """Name of the source file."""
    cls: str
    name: str
    doc: str
    """First line of its comment."""
    fusion: str
    """Its source, comments included."""

    def __str__(self) -> str:
        return f"{self.cls}.{self.name}"


def source_dir() -> Path:
    """Return the folder with the Fusion sources: that of the wheel's engine, else that of the checkout."""
    folder = engine_dir()
    return folder if any(folder.glob("*.fu")) else PACKAGE.parent / "src"


def read_methods(folder: Path | None = None) -> list[Method]:
    """Return all methods in the Fusion sources of a folder (default: `source_dir`).

    Raises:
        PyLlama3Error: there are no sources.
    """
    folder = folder or source_dir()
    paths = sorted(folder.glob("*.fu"))
    if not paths:
        raise PyLlama3Error(f"{folder}: there are no Fusion sources")
    return [method for path in paths for method in _parse(path.name, path.read_text(encoding="utf-8").splitlines())]


def find_method(methods: Sequence[Method], name: str) -> Method:
    """Return the method that a name means, such as RmsNorm, rms_norm or Kernels.RmsNorm.

    Raises:
        OptionError: there is none, or several.
    """
    wanted = _plain(name)
    found = [method for method in methods if wanted in (_plain(str(method)), _plain(method.name))]
    if not found:
        similar = [str(method) for method in methods if wanted in _plain(str(method))]
        hint = f"similar: {', '.join(similar)}" if similar else "without a name, all are listed"
        raise OptionError(f"the engine has no method '{name}'; {hint}")
    if len(found) > 1:
        raise OptionError(f"'{name}' is not clear: {', '.join(map(str, found))}")
    return found[0]


class GeneratedCode:
    """The Python and the C of a build folder."""

    def __init__(self, folder: Path) -> None:
        self._python = _read(folder / "llama3.py")
        self._classes = [node for node in ast.parse(self._python).body if isinstance(node, ast.ClassDef)]
        self._c = _read(folder / "llama3.c")

    def python(self, method: Method) -> str | None:
        """Return a method without its docstring; None where there is none."""
        names = {snake_case(method.name), f"_{snake_case(method.name)}"}
        for cls in self._classes:
            for function in cls.body if cls.name.lstrip("_") == method.cls else ():
                if isinstance(function, ast.FunctionDef) and function.name in names:
                    return _without_docstring(function, self._python.splitlines())
        return None

    def c(self, method: Method) -> str | None:
        """Return a method; None where there is none."""
        pattern = rf"^[\w *]+\b{method.cls}_{method.name}\([^;{{]*\)\n\{{\n.*?^\}}$"
        found = re.search(pattern, self._c, re.MULTILINE | re.DOTALL)
        return found[0] if found else None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _parse(file: str, lines: list[str]) -> Iterator[Method]:
    """Yield the methods, which are indented by one tab; native blocks with functions come before the classes."""
    cls, end = "", 0
    for n, line in enumerate(lines):
        if found := _CLASS.match(line):
            cls = found[1]
        if cls and n >= end and (found := _METHOD.match(line)):
            end = next(last for last in range(n, len(lines)) if _ends_method(lines, n, last)) + 1
            first = n
            while lines[first - 1].startswith("\t///"):
                first -= 1
            doc = lines[first].removeprefix("\t/// ") if first < n else ""
            text = "\n".join(line.removeprefix("\t") for line in lines[first:end])
            if found[1] != cls:  # constructors have other names in each language
                yield Method(file=file, cls=cls, name=found[1], doc=doc, fusion=text)


def _ends_method(lines: list[str], first: int, line: int) -> bool:
    """Tell whether all braces since the first line are closed, or, if there are none, a semicolon has come."""
    code = [text.partition("//")[0].rstrip() for text in lines[first : line + 1]]
    opened = sum(text.count("{") for text in code)
    return opened == sum(text.count("}") for text in code) if opened else code[-1].endswith(";")


def _without_docstring(function: ast.FunctionDef, lines: list[str]) -> str:
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)]) - 1
    kept = list(range(first, function.end_lineno or first))
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        kept = [n for n in kept if not docstring.lineno - 1 <= n < (docstring.end_lineno or 0)]
    return "\n".join(lines[n].removeprefix("\t") for n in kept)
