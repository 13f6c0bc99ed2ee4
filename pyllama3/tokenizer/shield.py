"""Telling the special tokens that a template writes from the same names in the messages of users.

Names in messages are shielded: one character is put inside, which is taken out after special tokens have been looked
for. A template may look for such a name in a message, `content.split('</think>')`: then that name is left alone, and
the template's own ones are marked instead, by a character in front.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

_SHIELD, _MARK = "\U0010ffff", "\U0010fffe"
"""Noncharacters, which Unicode reserves for internal use."""

_LOOKING_METHODS = frozenset(
    ["split", "rsplit", "partition", "rpartition", "replace", "startswith", "endswith", "find", "rfind", "index"],
).union(["rindex", "count", "strip", "lstrip", "rstrip", "removeprefix", "removesuffix"])
"""Methods of strings whose arguments are looked for, and do not come to be part of the result."""


def names_looked_for(template: nodes.Template, names: Collection[str]) -> frozenset[str]:
    """Return those of some names that a template could not find in a message if they were shielded."""
    texts = [text for node in _children(template) for text in _looked_for(node)]
    return frozenset(name for name in names if any(name[:2] in text for text in texts))


def mark_names(template: nodes.Template, names: Collection[str]) -> nodes.Template:
    """Mark some names wherever a template writes them, in place."""
    if not names:
        return template
    marked: nodes.Template = _Marker(names).visit(template)
    return marked


def mark(text: str, names: Collection[str]) -> str:
    """Put a mark before each of some names in a text."""
    return _any_of(names).sub(lambda match: _MARK + match[0], text) if names else text


def shielded(value: Any, names: Collection[str]) -> Any:
    """Copy a structure of JSON's types with some names shielded in all its strings, and without marks.

    The beginning of a name at the end of a string, blanks there not counted, is shielded too: a template could
    complete it by what it appends.
    """
    if isinstance(value, str):
        return _shielded_text(value.replace(_MARK, "\N{REPLACEMENT CHARACTER}"), names)
    if isinstance(value, Mapping):
        return {shielded(key, names): shielded(item, names) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [shielded(item, names) for item in value]
    return value


def without_marks(text: str, names: Collection[str]) -> str:
    """Shield those of some names that are not marked, and take the marks away."""
    if names:
        pattern = re.compile(f"(?<!{_MARK})(?:{_any_of(names).pattern})")
        text = pattern.sub(lambda match: match[0][0] + _SHIELD + match[0][1:], text)
    return text.replace(_MARK, "")


def without_shields(text: str) -> str:
    """Return a text as it was before it was shielded."""
    return text.replace(_SHIELD, "")


def _any_of(names: Collection[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))


@functools.lru_cache(maxsize=8)
def _first_characters(names: frozenset[str]) -> re.Pattern[str]:
    """Return what finds the first characters of names in a text, each by itself: names may overlap."""
    rests: dict[str, list[str]] = {}
    for name in names:
        rests.setdefault(name[0], []).append(name[1:])
    return re.compile("|".join(f"{re.escape(first)}(?={_one_of(ends)})" for first, ends in rests.items()))


def _one_of(texts: Sequence[str]) -> str:
    """Return an expression that matches where one of some texts is, and looks only once for what all begin with."""
    first, last = min(texts), max(texts)
    same = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return re.escape(first[:same]) + "(?:" + "|".join(re.escape(text[same:]) for text in texts) + ")"


def _shielded_text(text: str, names: Collection[str]) -> str:
    names = frozenset(filter(None, names))
    if not names:
        return text
    end = len(text.rstrip())
    longest = max(map(len, names))
    tails = {i for i in range(max(0, end - longest), end) if any(name.startswith(text[i:end]) for name in names)}
    places = sorted({match.start() for match in _first_characters(names).finditer(text)} | tails)
    starts = [0, *(place + 1 for place in places)]
    return _SHIELD.join(text[start:stop] for start, stop in zip(starts, [*starts[1:], len(text)], strict=True))


def _children(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _children(child)


def _questions(node: nodes.Node) -> list[nodes.Node]:
    """Return the children of a node that only ask about strings and are not written."""
    if isinstance(node, (nodes.Compare, nodes.Test)):
        return list(node.iter_child_nodes())
    if isinstance(node, nodes.Getitem):
        return [node.arg]
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in _LOOKING_METHODS:
        return list(node.args[:1])
    if isinstance(node, nodes.Filter) and node.name in ("replace", "trim"):
        return list(node.args[:1])
    return []


def _looked_for(node: nodes.Node) -> Iterator[str]:
    for question in _questions(node):
        for child in _children(question):
            if isinstance(child, nodes.Const) and isinstance(child.value, str):
                yield child.value


class _Marker(NodeTransformer):
    """Marks names in what a template writes, and leaves what it looks for as it is."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._questions: set[int] = set()

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        """Visit a node, unless it only asks."""
        if id(node) in self._questions:
            return node
        self._questions.update(map(id, _questions(node)))
        if isinstance(node, nodes.TemplateData):
            node.data = mark(node.data, self._names)
        elif isinstance(node, nodes.Const) and isinstance(node.value, str):
            node.value = mark(node.value, self._names)
        return super().visit(node, *args, **kwargs)
