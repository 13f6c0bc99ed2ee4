"""The functions that a request offers, and whether one has to be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..fields import ARRAY, BOOLEAN, OBJECT, STRING, FieldError, find, get

_MOST = 128
"""Functions of a request."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Functions that may be called."""

    definitions: Sequence[Mapping[str, Any]]
    """As the request has them."""
    schemas: Mapping[str, Mapping[str, Any]]
    """The JSON schema of the arguments of each function."""
    forced: Sequence[str]
    """One of these has to be called; with none the model decides."""
    several: bool


def read_tools(fields: Mapping[str, Any]) -> Tools | None:
    """Return the functions of a request; None if none may be called.

    Raises:
        FieldError: one has another form, or the choice is not supported.
    """
    definitions = find(fields, "tools", ARRAY, [])
    schemas = dict(map(_read_definition, definitions))
    if len(definitions) > _MOST or len(schemas) < len(definitions):
        raise FieldError("tools", f"tools has {len(definitions)} functions; allowed: {_MOST} with different names")
    choice = fields.get("tool_choice", "auto" if definitions else "none")
    several = find(fields, "parallel_tool_calls", BOOLEAN, True)
    if choice == "none":
        return None
    if not definitions and choice == "auto":
        return None
    return Tools(definitions=definitions, schemas=schemas, forced=_forced(choice, schemas), several=several)


def _read_definition(tool: Any) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(tool, dict) or tool.get("type", "function") != "function":
        raise FieldError("tools", f"tools has {tool!r:.80}; supported: objects of type 'function'")
    try:
        function = get(tool, "function", OBJECT)
        name, schema = get(function, "name", STRING), find(function, "parameters", OBJECT, {})
    except FieldError as error:
        raise FieldError("tools", f"tools: {error}") from None
    return name, _closed(schema)


def _closed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema of arguments without those that it does not name: models would get lost in them."""
    if schema.keys() & {"additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref"}:
        return schema
    return {"type": "object", "properties": {}, **schema, "additionalProperties": False}


def _forced(choice: Any, schemas: Mapping[str, Any]) -> Sequence[str]:
    if choice == "auto":
        return ()
    if choice == "required" and schemas:
        return list(schemas)
    if isinstance(choice, dict) and choice.get("type") == "function":
        name = find(choice, "function", OBJECT, {}).get("name")
        if name in schemas:
            return [name]
    names = ", ".join(schemas) or "none"
    raise FieldError(
        "tool_choice",
        f"tool_choice is {choice!r:.80}; supported: 'none', 'auto', 'required', or one of the functions: {names}",
    )
