"""The rooms of pyfut: imports go where the table in docs/pyfut.md allows, never in a circle, and modules are short.

To add a room: a row in that table. Its first column names the room, its last what it may import beside the ground.
"""

import ast
import re
from graphlib import TopologicalSorter

import pytest
from paths import ROOT

PACKAGE = ROOT / "pyfut"
PAGE = ROOT / "docs" / "pyfut.md"
GROUND = "ground"


def name_of(path):
    """Return `pyfut.syntax.lexer`; a package has the name of its folder."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TOP = "pyfut"
"""The package itself, which holds the version."""


def allowed_imports():
    """Return the table: the rooms, and which other rooms each may import."""
    rows = re.findall(r"^\| `pyfut/([^|]+?)` \|[^|]*\| ([^|]*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name.rstrip("/").removesuffix(".py"): set(imports.split(", ")) - {"-"} for name, imports in rows}


def room_of(name):
    return name.split(".")[1]


def imported(path):
    """Return the modules of ours that a module imports anywhere, also inside functions and for types only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are spelled in full"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in inner}
    return {name for name in found if name.split(".")[0] == TOP}


def test_every_module_has_a_room():
    assert {room_of(name) for name in MODULES if name != TOP} == set(allowed_imports())


@pytest.mark.parametrize("name", [name for name in MODULES if name != TOP])
def test_imports_go_where_the_table_allows(name):
    rooms = allowed_imports()
    ground = {room for room, imports in rooms.items() if GROUND in imports}
    own = room_of(name)
    found = {room_of(other) for other in imported(MODULES[name]) if other != TOP} - {own}
    allowed = rooms[own] - {GROUND} | ground
    assert found <= allowed, f"{name} imports {sorted(found - allowed)}; docs/pyfut.md allows {sorted(allowed)}"


def test_the_table_has_no_circle():
    TopologicalSorter({room: imports - {GROUND} for room, imports in allowed_imports().items()}).prepare()


def test_modules_are_in_no_circle():
    TopologicalSorter({name: imported(path) - {TOP} for name, path in MODULES.items()}).prepare()


def test_no_module_is_long():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
