"""Calls of functions in the texts of models, in the forms that they were trained to write.

- Llama 3.1: `{"name": "f", "parameters": {...}}`, several with `;` or white space between them, also after
  `<|python_tag|>`, which may be followed by `f.call(a="b")` or by a program
- Llama 3.2: `[f(a=1), g(b="c")]`
- Hermes and others with ChatML: `<tool_call>{"name": "f", "arguments": {...}}</tool_call>`, between texts
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ...foreign import parse_json

MAX_LENGTH = 1 << 20
"""Of the text of a call that is parsed."""
_PROGRAM_TOOLS = ("code_interpreter", "python", "ipython")
"""What functions that run programs are called."""
_CONSTANTS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Call:
    """A call of a function."""

    name: str
    arguments: str
    """In JSON."""


def read_object(value: Any, names: Collection[str] | None) -> Call | None:
    """Return the call that a JSON object means, if any; with `names`, only of these functions."""
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner
    name = value.get("name", inner)
    arguments: Any = next((value[key] for key in ("parameters", "arguments") if key in value), {})
    if isinstance(arguments, str):
        arguments = _parse(arguments)
    if not isinstance(name, str) or not isinstance(arguments, dict) or (names is not None and name not in names):
        return None
    return Call(name, json.dumps(arguments, ensure_ascii=False))


def read_objects(text: str, names: Collection[str] | None) -> list[Call] | None:
    """Return the calls that a text consists of: JSON objects in a row, or in an array; None if it is anything else."""
    calls: list[Call] = []
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        value = _parse(text[at:end])
        for item in value if isinstance(value, list) else [value]:
            call = read_object(item, names)
            if call is None:
                return None
            calls.append(call)
        while end < len(text) and text[end] in " \t\r\n;,":
            end += 1
        at = end
    return calls or None


def read_python(text: str, names: Collection[str]) -> list[Call] | None:
    """Return the calls in a Python list of calls, or in a single one such as `f.call(a="b")`."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    calls = []
    for node in tree.elts if isinstance(tree, ast.List) else [tree]:
        if not isinstance(node, ast.Call) or node.args:
            return None
        name = _function_name(node.func)
        try:
            arguments = {word.arg: _value(word.value) for word in node.keywords}
            written = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
        except (ValueError, TypeError, RecursionError):
            return None
        if name not in names or None in arguments:
            return None
        calls.append(Call(name, written))
    return calls or None


def read_program(text: str, names: Collection[str]) -> list[Call] | None:
    """Return the call that runs a program, if there is a function for it."""
    name = next((name for name in _PROGRAM_TOOLS if name in names), None)
    return None if name is None or not text.strip() else [Call(name, json.dumps({"code": text}, ensure_ascii=False))]


def may_begin_object(text: str) -> bool:
    """Tell whether a text may become a JSON object that is a call, by its first key."""
    match = re.match(r'\{\s*(?:"((?:[^"\\]|\\.)*)("?)|$)', text)
    if match is None:
        return False
    key, closed = match[1] or "", match[2]
    known = ("name", "type", "function", "parameters", "arguments", "id")
    return key in known if closed else any(one.startswith(key) for one in known)


def may_begin_list(text: str) -> bool:
    """Tell whether a text may become a list of calls."""
    return re.match(r"\[\s*(?:\{|[A-Za-z_][\w.]*\s*(?:\(|$)|$)", text) is not None


def _parse(text: str) -> Any:
    try:
        return parse_json(text, max_bytes=MAX_LENGTH, strict=True)
    except ValueError:
        return None


def _function_name(node: ast.expr) -> str:
    name = ast.unparse(node)
    return name.removesuffix(".call")


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in _CONSTANTS:
        return _CONSTANTS[node.id]
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {
            str(ast.literal_eval(key)): _value(item) for key, item in zip(node.keys, node.values, strict=True) if key
        }
    return ast.literal_eval(node)
