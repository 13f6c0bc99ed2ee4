"""`pyllama3 config`: which defaults hold, and where they come from."""

from __future__ import annotations

import importlib

import click

from .output import say
from .preferences import COMMANDS, list_preferences, read_defaults

_EXAMPLE = """An example:
model = "llama3.2"
temperature = 0.7
[chat]
system = "Be brief."
"""


@click.command("config", short_help="Show the defaults, and where they come from.")
@click.option("--path", "only_path", is_flag=True, help="Only print where the file is.")
def command(only_path: bool) -> None:
    """Show the defaults of options that a file or environment variables have changed.

    The file is TOML: options by the names of their flags, for all of run, chat and batch, and tables with the names of
    commands for one of them. A variable is called PYLLAMA3_MODEL, PYLLAMA3_TOP_K and so on. The command line counts
    before variables, they before the file. Where nothing is chosen (-), the model decides (pyllama3 show).
    """
    from ..files import config_path

    path = config_path()
    say(path)
    if only_path:
        return
    if not path.exists():
        say(f"There is no such file. {_EXAMPLE}", err=True)
    defaults = read_defaults()
    for name in COMMANDS:
        module = importlib.import_module(f".{name}", __package__)
        say(f"[{name}]")
        for preference in list_preferences(module.command, defaults[name]):
            say(f"{preference.name.replace('_', '-'):18} {preference.value!s:24} {preference.origin}")
