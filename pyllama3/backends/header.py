"""What a generated C header declares. Fusion compilers write few forms of declarations, which are all that is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_IGNORED = re.compile(r'/\*.*?\*/|//[^\n]*|^[ \t]*#[^\n]*$|extern "C" \{|^\}$', re.DOTALL | re.MULTILINE)
_CONSTANT = re.compile(r"^#define ([A-Za-z0-9]+)_(\w+) (-?\d+)$", re.MULTILINE)
_DECLARATION = re.compile(
    r"\s*(?:"
    r"typedef struct \w+ (?P<structure>\w+)"
    r"|typedef enum \{(?P<members>[^}]*)\} (?P<enumeration>\w+)"
    r"|(?P<result>[\w ]+?[ *]+)(?P<function>\w+)\((?P<parameters>[^)]*)\)"
    r");"
)
_NAME = re.compile(r"\w+$")
"""Name of a parameter."""


class CType(NamedTuple):
    """A type without its `const`."""

    name: str
    is_pointer: bool


class Function(NamedTuple):
    """A function."""

    name: str
    result: CType
    parameters: tuple[CType, ...]
    is_pure: bool = False
    """Whether its first parameter is a pointer to something that it may not change."""


@dataclass
class Header:
    """All declarations of a header."""

    structures: list[str] = field(default_factory=list)
    enumerations: dict[str, dict[str, int]] = field(default_factory=dict)
    """Values by the names of members, which begin with that of the enumeration."""
    functions: list[Function] = field(default_factory=list)
    constants: list[tuple[str, str, int]] = field(default_factory=list)
    """Class, name and value."""


def parse_header(text: str) -> Header:
    """Read a header.

    Raises:
        ValueError: it has something in it that Fusion compilers do not write.
    """
    header = Header(constants=[(cls, name, int(value)) for cls, name, value in _CONSTANT.findall(text)])
    text = _IGNORED.sub("", text).rstrip()
    position = 0
    while position < len(text):
        match = _DECLARATION.match(text, position)
        if match is None:
            raise ValueError(f"cannot read '{text[position:].split(chr(10), 1)[0][:60].strip()}'")
        position = match.end()
        if match["structure"]:
            header.structures.append(match["structure"])
        elif match["enumeration"]:
            header.enumerations[match["enumeration"]] = dict(_members(match["members"]))
        else:
            parameters = [] if match["parameters"] == "void" else match["parameters"].split(",")
            types = tuple(_type(_NAME.sub("", parameter)) for parameter in parameters)
            is_pure = bool(types) and types[0].is_pointer and "const" in parameters[0].split()
            header.functions.append(Function(match["function"], _type(match["result"]), types, is_pure))
    return header


def _members(text: str) -> Iterator[tuple[str, int]]:
    """Yield the members of an enumeration: those without a value follow the one before."""
    value = -1
    for member in filter(None, map(str.strip, text.split(","))):
        name, _, given = member.partition(" = ")
        value = int(given) if given else value + 1
        yield name, value


def _type(text: str) -> CType:
    return CType(text.replace("const", "").replace("*", "").strip(), "*" in text)
