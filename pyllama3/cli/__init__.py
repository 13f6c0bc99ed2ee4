"""The command line: one file per command, imported when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from .. import __version__
from ..errors import PyLlama3Error

_COMMANDS = ("run", "tokenize", "pull", "info")

BROKEN_PIPE = 141
"""Exit code when the reader of our output has gone, the one shells give to a program stopped by SIGPIPE."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""


class _LazyGroup(click.Group):
    """A group whose command NAME is the function `command` of the module NAME beside this file."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f".{name}", __name__).command
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pyllama3")
def cli() -> None:
    """Run Llama 3 models with an engine written once in Fusion."""


def main(arguments: list[str] | None = None) -> Any:
    """Run a command line and exit: 0 fine, 1 an error told in one line, 2 wrong usage, 130 Ctrl-C."""
    try:
        code = cli.main(arguments, prog_name="pyllama3", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except PyLlama3Error as error:
        click.echo(f"pyllama3: {error}", err=True)
        code = 1
    except (KeyboardInterrupt, click.Abort):
        click.echo(err=True)
        code = INTERRUPTED
    except BrokenPipeError:
        # what is still buffered must not be written to the broken pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = BROKEN_PIPE
    sys.exit(code)
