"""Arguments of public functions: whatever a caller passes becomes a value of its type, or an OptionError.

Numbers of numpy are taken like Python's own, texts never for numbers.
"""

from __future__ import annotations

import math
import numbers
import operator
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any, TypeVar

from .errors import OptionError

_T = TypeVar("_T")
_SHOWN = 80
"""Characters of a value in a message."""


def integer(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number, which may have to be in a range.

    Raises:
        OptionError: it is none, or outside.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise OptionError(f"{name} is {shown(value)}; an integer is expected") from None
    if (least is not None and number < least) or (most is not None and number > most):
        allowed = f"{least} or more" if most is None else f"{least} to {most}"
        raise OptionError(f"{name} is {shown(number)}; allowed: {allowed}")
    return number


def real(name: str, value: Any) -> float:
    """Return a number, which is infinite if it is larger than any float.

    Raises:
        OptionError: it is none.
    """
    if not isinstance(value, numbers.Real):
        raise OptionError(f"{name} is {shown(value)}; a number is expected")
    try:
        return float(value)
    except OverflowError:
        return math.inf * (1 if operator.gt(value, 0) else -1)


def flag(name: str, value: Any) -> bool:
    """Return whether something is true.

    Raises:
        OptionError: it is neither true nor false, as an array is.
    """
    try:
        return bool(value)
    except ValueError:
        raise OptionError(f"{name} is {shown(value)}; true or false is expected") from None


def text(name: str, value: Any) -> str:
    """Return a text.

    Raises:
        OptionError: it is none.
    """
    return instance(name, value, str, "a text")


def instance(name: str, value: Any, type: type[_T], expected: str) -> _T:
    """Return what has a type.

    Raises:
        OptionError: it has another.
    """
    if not isinstance(value, type):
        raise OptionError(f"{name} is {shown(value)}; {expected} is expected")
    return value


def mapping(name: str, value: Any, expected: str) -> Mapping[Any, Any]:
    """Return a mapping.

    Raises:
        OptionError: it is none.
    """
    if not isinstance(value, Mapping):
        raise OptionError(f"{name} is {shown(value)}; {expected} is expected")
    return value


def items(name: str, value: Any, expected: str) -> list[Any]:
    """Return what is in a sequence, which is gone through once; a text or a mapping is none.

    Raises:
        OptionError: it is none.
    """
    if isinstance(value, (str, bytes, bytearray, Mapping)) or not isinstance(value, Iterable):
        raise OptionError(f"{name} is {shown(value)}; {expected} are expected")
    try:
        return list(value)
    except TypeError:  # an array without dimensions
        raise OptionError(f"{name} is {shown(value)}; {expected} are expected") from None


def file_path(name: str, value: Any) -> Path:
    """Return the path of a file.

    Raises:
        OptionError: it is none, or can only be that of a directory.
    """
    if (path := any_path(name, value)).name:
        return path
    raise OptionError(f"{name} is {shown(value)}; the path of a file is expected")


def any_path(name: str, value: Any) -> Path:
    """Return the path of a file or directory.

    Raises:
        OptionError: it is none.
    """
    try:
        path = Path(value)
        os.fsencode(path)  # half a surrogate pair is in no name
        if value and "\0" not in str(path):
            return path
    except (TypeError, UnicodeEncodeError):
        pass
    raise OptionError(f"{name} is {shown(value)}; a path is expected")


def model_reference(value: Any) -> str:
    """Return how a model is called, which may be given as a path."""
    return value if isinstance(value, str) else str(any_path("the model", value))


def adapter(value: Any) -> tuple[Path, float]:
    """Return the path of a LoRA adapter and its scale."""
    pair = items("lora", value, "pairs of a path and a scale")
    if len(pair) != 2:
        raise OptionError(f"lora has {shown(value)}; pairs of a path and a scale are expected")
    return any_path("the path of a LoRA adapter", pair[0]), real("the scale of a LoRA adapter", pair[1])


def function(name: str, value: Any) -> Any:
    """Return what can be called.

    Raises:
        OptionError: it cannot.
    """
    if not callable(value):
        raise OptionError(f"{name} is {shown(value)}; a function is expected")
    return value


def shown(value: Any) -> str:
    """Return what a message says that a value is: the beginning of its `repr`."""
    try:
        found = repr(str(value) if isinstance(value, PurePath) else value)
    except (ValueError, RecursionError):  # thousands of digits, or nested as deeply
        found = f"of type {type(value).__name__}"
    found = " ".join(found.split())
    return found if len(found) <= _SHOWN else f"{found[:_SHOWN]}..."
