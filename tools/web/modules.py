"""JavaScript modules as one script: browsers load no modules for a page that was opened as a file.

Each module becomes a function that returns what it exports, in the order in which they need each other. Of the forms
of imports and exports, those are read that web/ and its packages have; any other is an error.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tools.running import BuildError

_IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";$', re.MULTILINE)
_DECLARATION = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)
_LIST = re.compile(r"^export \{([^}]*)\};$", re.MULTILINE)
_OTHER = re.compile(r"^(?:import\b|export\b).*$", re.MULTILINE)


def join_modules(entry: Path) -> str:
    """Return a script that does what a module does, with all the modules that it imports.

    Raises:
        BuildError: a module is missing, or they import each other in a circle, or in a form that is not read.
    """
    scripts = _Scripts(entry.resolve())
    return '"use strict";\nconst modules = {};\n' + "".join(scripts.by_path.values())


class _Scripts:
    """Modules and those that they need, in order."""

    def __init__(self, entry: Path) -> None:
        self.by_path: dict[Path, str] = {}
        self._folder = entry.parent
        self._add(entry, ())

    def _add(self, path: Path, above: tuple[Path, ...]) -> None:
        if path in above:
            raise BuildError(f"{path}: imports itself by way of {above[-1].name}")
        text = _read(path)
        for _, name in _IMPORT.findall(text):
            needed = _resolve(path, name)
            if needed not in self.by_path:
                self._add(needed, (*above, path))
        self.by_path[path] = f"{_licence(path)}modules[{self._key(path)}] = (() => {{\n{self._body(path, text)}}})();\n"

    def _body(self, path: Path, text: str) -> str:
        """Return a module as the body of a function."""
        exports = _DECLARATION.findall(text)
        exports += [name.strip() for names in _LIST.findall(text) for name in names.split(",")]

        def as_constants(match: re.Match[str]) -> str:
            return f"const {{{match[1].replace(' as ', ': ')}}} = modules[{self._key(_resolve(path, match[2]))}];"

        text = _LIST.sub("", _DECLARATION.sub("", _IMPORT.sub(as_constants, text)))
        if left := _OTHER.search(text):
            raise BuildError(f"{path}: cannot read '{left[0]:.80}'")
        return f"{text.rstrip()}\nreturn {{ {', '.join(exports)} }};\n"

    def _key(self, path: Path) -> str:
        return json.dumps(path.relative_to(self._folder).as_posix())


def _resolve(importer: Path, name: str) -> Path:
    """Return the file of a module: beside the importer, or of a package that npm has installed."""
    if name.startswith("."):
        return (importer.parent / name).resolve()
    for folder in importer.parents:
        package = folder / "node_modules" / name
        if package.is_dir():
            return Path(package, json.loads(_read(package / "package.json"))["module"])
    raise BuildError(f"{importer}: the package '{name}' is not installed")


def _licence(path: Path) -> str:
    """Return a comment with the licence of a package, which asks for that; nothing for a module of ours."""
    package = next((folder for folder in path.parents if (folder / "package.json").is_file()), path)
    if "node_modules" not in package.parts:
        return ""
    manifest = json.loads(_read(package / "package.json"))
    return f"/* {manifest['name']} {manifest['version']}\n\n{_read(package / 'LICENSE').replace('*/', '* /')}*/\n"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BuildError(f"{path}: {error.strerror}") from error
