"""Settings of a conversation: options of `Llama.generate`, changed by the names of the flags of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from ..errors import OptionError
from ..generation.sampling import SamplerOptions

_FLAGS = {"temp": "temperature", "n": "max_tokens", "s": "seed"}
"""Short flags."""
_KINDS: dict[str, type] = {
    **{
        option.name: {"int": int, "int | None": int, "bool": bool}.get(str(option.type), float)
        for option in fields(SamplerOptions)
        if option.name != "logit_bias"
    },
    "max_tokens": int,
    "lookup": int,
}
_WORDS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
_DEFAULTS = ("none", "default", "-1")
NAMES = tuple(name.replace("_", "-") for name in _KINDS)
"""Names for people."""


def find_setting(name: str) -> str:
    """Return the option that is meant by top_p, top-p or --top-p.

    Raises:
        OptionError: there is none.
    """
    option = name.lstrip("-").replace("-", "_")
    option = _FLAGS.get(option, option)
    if option not in _KINDS:
        raise OptionError(f"there is no setting {name!r}; known: {', '.join(NAMES)}")
    return option


def changed(options: dict[str, Any], option: str, text: str) -> dict[str, Any]:
    """Return the options with another value for one of them; "default" is the model's own.

    Raises:
        OptionError: the value is not allowed.
    """
    rest = {name: value for name, value in options.items() if name != option}
    if text in _DEFAULTS:
        return rest
    kind = _KINDS[option]
    try:
        value = _WORDS[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        wanted = "on or off" if kind is bool else "a number"
        raise OptionError(f"{option} is {text!r}; {wanted} is expected, as in /set temp 0.7") from None
    if option in SamplerOptions.__dataclass_fields__:
        checked: dict[str, Any] = {option: value}
        SamplerOptions(**checked)
    elif value < (option == "max_tokens"):
        raise OptionError(f"{option} is {value}; allowed: {int(option == 'max_tokens')} or more")
    return {**rest, option: value}


def rows(options: dict[str, Any], defaults: SamplerOptions) -> Iterator[tuple[str, str]]:
    """Yield the names and values of all settings."""
    for option, name in zip(_KINDS, NAMES, strict=True):
        value = options.get(option, getattr(defaults, option, None))
        yield name, "none" if value is None else str(value)
