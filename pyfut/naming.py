"""Names of the target languages, made from Fusion's camelCase and PascalCase."""

from __future__ import annotations

import re


def snake_case(name: str) -> str:
    """Return `kvHeads` as `kv_heads`: every capital but the first starts a word."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def upper_case(name: str) -> str:
    """Return `KvHeads` as `KV_HEADS`."""
    return snake_case(name).upper()


def camel_case(name: str) -> str:
    """Return `KvHeads` as `kvHeads`."""
    return name[:1].lower() + name[1:]


def escape(text: str) -> str:
    """Return a string literal that means the same in C and in Python."""
    table = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(table.get(c, c) for c in text) + '"'


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())
