"""Defaults of options that a user has chosen: in a TOML file, and in environment variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..errors import OptionError
from ..files import config_path
from ..foreign import read_whole

COMMANDS = ("run", "chat", "batch", "serve")
"""Commands that take all preferences; they are tables of the file, too."""
_ONLY_MODEL = ("explain", "tokenize", "perplexity", "embed")
_NAMES = (
    *("model", "system", "max_tokens", "backend", "threads", "context", "cache_type"),
    *("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "repeat_last_n", "repeat_prompt"),
    *("presence_penalty", "frequency_penalty", "seed"),
)
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Preference:
    """An option with a value that was chosen, and where."""

    command: str
    name: str
    value: Any
    origin: str


def add_variables(command: click.Command) -> None:
    """Let options of a command take their defaults from variables: PYLLAMA3_TOP_K is that of --top-k."""
    for option in command.params:
        if option.name in _names(str(command.name)) and isinstance(option, click.Option):
            option.envvar = variable(option.name)


def variable(name: str) -> str:
    """Return the environment variable of an option."""
    return f"PYLLAMA3_{name.upper()}"


def read_defaults() -> dict[str, dict[str, Any]]:
    """Return the defaults in the file by command and option, as click takes them.

    Raises:
        OptionError: the file cannot be read, is not TOML, or has keys that are no options.
    """
    path = config_path()
    content = _read(path)
    tables = {name: content.pop(name) for name in COMMANDS if isinstance(content.get(name), dict)}
    for table in (content, *tables.values()):
        for key, value in table.items():
            if _option(key) not in _NAMES:
                allowed = ", ".join(name.replace("_", "-") for name in _NAMES)
                raise OptionError(f"{path}: {key!r:.80} is no option; allowed: {allowed}, and tables {COMMANDS}")
            if not isinstance(value, (str, int, float)):
                raise OptionError(f"{path}: {key} is {value!r:.80}; a text, a number, true or false is expected")
    return {
        command: {
            _option(key): value
            for table in (content, tables.get(command, {}))
            for key, value in table.items()
            if _option(key) in _names(command)
        }
        for command in (*COMMANDS, *_ONLY_MODEL)
    }


def list_preferences(command: click.Command, defaults: Mapping[str, Any]) -> Iterator[Preference]:
    """Yield the options of a command with what holds for each unless the command line says something else."""
    name = str(command.name)
    for option in command.params:
        if option.name not in _names(name):
            continue
        if value := os.environ.get(variable(option.name)):
            yield Preference(name, option.name, value, f"${variable(option.name)}")
        elif option.name in defaults:
            yield Preference(name, option.name, defaults[option.name], str(config_path()))
        else:
            default = option.default if isinstance(option.default, (str, int, float)) else "-"
            yield Preference(name, option.name, default, "default")


def _names(command: str) -> tuple[str, ...]:
    if command in COMMANDS:
        return _NAMES
    return ("model",) if command in _ONLY_MODEL else ()


def _option(key: str) -> str:
    return key.replace("-", "_")


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        content: dict[str, Any] = tomllib.loads(read_whole(path, max_bytes=_MAX_BYTES, regular=False).decode())
    except OSError as error:
        raise OptionError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise OptionError(f"{path}: not TOML: {error}") from error
    return content
