"""The rooms of the host: imports go only where the table in docs/architecture.md allows, and never in a circle.

To add a room: a row in that table. Its first column names the room, its last what it may import beside the ground.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from paths import ROOT

import pyllama3

PACKAGE = ROOT / "pyllama3"
MODULES = sorted(PACKAGE.rglob("*.py"))
GROUND = "ground"


def allowed_imports() -> dict[str, set[str]]:
    """Return the table: the rooms, and which other rooms each may import."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `pyllama3/([^|]+?)/?` \|[^|]*\| ([^|]*) \|$", page, re.MULTILINE)
    return {name.removesuffix(".py"): set(imports.split(", ")) - {"-"} for name, imports in rows}


def name_of(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(path: Path) -> set[tuple[str, ...]]:
    """Return the modules of ours that a module imports anywhere, also inside functions and for types only."""
    inside = path.relative_to(PACKAGE).parts[:-1]
    names = {name_of(module) for module in MODULES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*inside[: len(inside) - node.level + 1], *(node.module.split(".") if node.module else ()))
            found |= {name if (name := (*base, alias.name)) in names else base for alias in node.names}
    return found - {name_of(path), ()}


def room_of(name: tuple[str, ...], rooms: dict[str, set[str]]) -> str:
    joined = "/".join(name)
    return next((room for room in rooms if joined == room or joined.startswith(f"{room}/")), joined)


def test_every_module_has_a_room() -> None:
    rooms = allowed_imports()
    assert {room_of(name_of(path), rooms) for path in MODULES if name_of(path)} == set(rooms)


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path)], ids=lambda path: "/".join(name_of(path)))
def test_imports_go_where_the_table_allows(path: Path) -> None:
    rooms = allowed_imports()
    ground = {room for room, imports in rooms.items() if GROUND in imports}
    own = room_of(name_of(path), rooms)
    found = {room_of(name, rooms) for name in imported(path) if name} - {own}
    allowed = rooms[own] - {GROUND} | ground
    assert found <= allowed, f"{own} imports {sorted(found - allowed)}; docs/architecture.md allows {sorted(allowed)}"


def test_rooms_are_in_no_circle() -> None:
    rooms = {room: imports - {GROUND} for room, imports in allowed_imports().items()}
    while free := {room for room, imports in rooms.items() if not imports & rooms.keys()}:
        rooms = {room: imports for room, imports in rooms.items() if room not in free}
    assert not rooms


def test_modules_are_in_no_circle() -> None:
    graph = {name_of(path): imported(path) for path in MODULES if name_of(path)}
    while free := {name for name, imports in graph.items() if not imports & graph.keys()}:
        graph = {name: imports for name, imports in graph.items() if name not in free}
    assert not graph


def test_no_module_is_long() -> None:
    lengths = {"/".join(name_of(path)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


@pytest.mark.parametrize("name", pyllama3.__all__)
def test_the_face_has_every_name(name: str) -> None:
    assert getattr(pyllama3, name) is not None
    assert name in dir(pyllama3)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pyllama3' has no attribute 'lama'"):
        _ = pyllama3.lama  # type: ignore[attr-defined]
