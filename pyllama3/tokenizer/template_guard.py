"""A sandbox whose templates have a budget of work and of text, so that a hostile one ends soon.

Guards count what loops, calls, filters and operators do. A child process could be killed as well, but takes longer to
start than a model takes to load, and a template is rendered for each answer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2 import nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MOST_STEPS = 2_000_000
"""Iterations, calls and items of structures; a conversation of 1000 messages takes some 50,000."""
MOST_TEXT = 1 << 26
"""Characters in all that a template makes on its way, beside what it was given."""
_MOST_BITS = 1 << 12
"""Of integers."""
_LARGEST = 10_000_000
"""Of numbers that may be widths or counts."""

_Budget = list[int]
_current: ContextVar[_Budget] = ContextVar("_current")


class TemplateLimitError(Exception):
    """A template does, or makes, more than is allowed."""


@contextmanager
def limited(size: int = 0) -> Iterator[None]:
    """Give a new budget to what is done inside; `size` are the characters that a template is given."""
    token = _current.set([MOST_STEPS, MOST_TEXT + 16 * size])
    try:
        yield
    finally:
        _current.reset(token)


def _spend(steps: int, text: int = 0) -> None:
    budget = _current.get()
    budget[0] -= steps
    budget[1] -= text
    if min(budget) < 0:
        raise TemplateLimitError("does more than is allowed")


def _take(value: Any) -> Any:
    """Pay for a value: for its text, or as a tree, in which what occurs several times counts as often."""
    if isinstance(value, str):
        _spend(1, len(value))
    elif isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            raise TemplateLimitError("has too large a number")
    elif isinstance(value, (list, tuple, dict)):
        _spend(_tree_size(value, {}))
    else:
        _spend(1)
    return value


def _tree_size(value: Any, known: dict[int, int]) -> int:
    """Return how many items and how many hundreds of characters a structure has; `known` are the sizes of its parts."""
    if isinstance(value, str):
        return 1 + len(value) // 100
    if not isinstance(value, (list, tuple, dict)):
        return 1
    if id(value) not in known:
        _spend(1 + len(value))
        items = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_tree_size(item, known) for item in items)
    return known[id(value)]


def _check_arguments(values: Iterable[Any]) -> None:
    """Refuse arguments with which a function could make much of little: large numbers, texts to put between others."""
    lengths = []
    for value in values:
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise TemplateLimitError("has too large a number")
        if isinstance(value, (str, list, tuple)):
            lengths.append(len(value))
    first, second = (*sorted(lengths, reverse=True), 0, 0)[:2]
    _spend(1 + first // 100, first * second if second > 1 and first > 1000 and second > 100 else 0)


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that pays for what it makes."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        _check_arguments([*args, *kwargs.values()])
        return _take(function(*args, **kwargs))

    return call


def _each(values: Any) -> Any:
    """Pay for the iterations of a loop."""
    if hasattr(values, "__len__"):
        _spend(len(values))
        return values
    return _paid(values)


def _paid(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _spend(1)
        yield value


def _joined(parts: Iterable[Any]) -> str:
    """Join texts as the operator ~ does, and as the output of a template is."""
    texts = []
    for part in parts:
        if isinstance(part, (list, tuple, dict)):
            _take(part)
        text = str(part)
        _spend(1, len(text))
        texts.append(text)
    return "".join(texts)


def _shown(value: Any) -> Any:
    """Pay for what is written, before it becomes text."""
    return _take(value) if isinstance(value, (list, tuple, dict)) else value


class GuardedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, whose templates work inside `limited` only."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])
    concat = staticmethod(_joined)

    def __init__(self, **options: Any) -> None:
        super().__init__(finalize=_shown, **options)
        self.globals.pop("lipsum")
        self.filters = {name: guarded(function) for name, function in self.filters.items()}
        self.filters |= {"_each": _each, "_joined": _joined, "_take": _take}

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function, a macro or a method."""
        _check_arguments([getattr(function, "__self__", None), *args, *kwargs.values()])
        if isinstance(getattr(function, "__self__", None), str) and function.__name__ in ("format", "format_map"):
            _check_format(function.__self__)
        return _take(super().call(context, function, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute what can be large."""
        if operator == "%" and isinstance(left, str):
            _check_format(left)
        elif operator == "**":
            if not isinstance(left, (int, float)) or not isinstance(right, (int, float)) or abs(right) > 1000:
                raise TemplateLimitError("has too large a number")
        elif operator == "*":
            lengths = [len(value) for value in (left, right) if isinstance(value, (str, list, tuple))]
            counts = [value for value in (left, right) if isinstance(value, int)]
            if lengths and counts and counts[0] > 0:
                _spend(1, lengths[0] * counts[0])
        return _take(super().call_binop(context, operator, left, right))

    def parse(self, source: str, name: str | None = None, filename: str | None = None) -> nodes.Template:
        """Return the tree of a template with the guards in it."""
        tree: nodes.Template = _Guard().visit(super().parse(source, name, filename))
        return tree


def _check_format(format: str) -> None:
    """Refuse a format with a width of more than four digits, or one that an argument gives."""
    digits = 0
    for character in format:
        digits = digits + 1 if character.isdigit() else 0
        if digits > 4 or (character == "*" and "%" in format):
            raise TemplateLimitError("has too large a width in a format")
    if "{" in format.replace("{{", "").replace("{", "", 1) and ":{" in format:
        raise TemplateLimitError("has a width in a format that an argument gives")


class _Guard(NodeTransformer):
    """Puts guards around what no operator, filter or call goes through."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - as Jinja names it
        """Count the iterations."""
        self.generic_visit(node)
        node.iter = _filter(node.iter, "_each")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        """Pay for the text."""
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "_joined")

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        """Pay for the items."""
        self.generic_visit(node)
        return _filter(node, "_take")

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        """Pay for the items."""
        self.generic_visit(node)
        return _filter(node, "_take")

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        """Pay for the items, unless they are assigned to."""
        self.generic_visit(node)
        return node if node.ctx != "load" else _filter(node, "_take")


def _filter(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
