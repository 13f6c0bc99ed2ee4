"""Fields of requests: found, and checked for their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OptionError

NUMBER, INTEGER, BOOLEAN = "a number", "an integer", "true or false"
STRING, ARRAY, OBJECT = "a string", "an array", "an object"
_TYPES: dict[str, tuple[type, ...]] = {
    NUMBER: (int, float),
    INTEGER: (int,),
    STRING: (str,),
    ARRAY: (list,),
    OBJECT: (dict,),
}


class FieldError(OptionError):
    """A field of a request is missing, or has a value that is not allowed or not supported."""

    def __init__(self, field: str, text: str) -> None:
        """Blame a field."""
        super().__init__(text)
        self.field = field


def is_a(value: Any, kind: str) -> bool:
    """Tell whether a value is of one of JSON's types."""
    is_bool = isinstance(value, bool)
    if kind == BOOLEAN or is_bool:
        return kind == BOOLEAN and is_bool
    return isinstance(value, _TYPES[kind])


def find(fields: Mapping[str, Any], name: str, kind: str, default: Any = None) -> Any:
    """Return a field if it is there.

    Raises:
        FieldError: it is of another type.
    """
    return get(fields, name, kind) if fields.get(name) is not None else default


def get(fields: Mapping[str, Any], name: str, kind: str) -> Any:
    """Return a field.

    Raises:
        FieldError: it is missing, or of another type.
    """
    if name not in fields:
        raise FieldError(name, f"{name} is missing; {kind} is expected")
    if not is_a(fields[name], kind):
        raise FieldError(name, f"{name} is {fields[name]!r:.80}; {kind} is expected")
    return fields[name]
