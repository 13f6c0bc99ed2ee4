"""The command line: one file per command, imported when it is used."""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from typing import NoReturn

import click

from .. import __version__
from ..errors import PyLlama3Error
from ..foreign import printable
from .output import say
from .preferences import add_variables, read_defaults

_COMMANDS = (
    *("run", "chat", "batch", "serve", "list", "pull", "rm", "inspect", "config", "convert", "tokenize", "embed"),
    *("bench", "explain", "compare", "perplexity", "source", "tour", "web", "completion", "info"),
)
_MODULES = {"list": "listing", "ls": "listing", "show": "inspect"}
"""Modules that have another name than their command: a module named list would hide that of Python."""
_HELP, _CONFIG = "help", "config"

BROKEN_PIPE = 141
"""Exit code when the reader of our output has gone, the one shells give to a program stopped by SIGPIPE."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""


class _LazyGroup(click.Group):
    """A group whose command NAME is the function `command` of the module NAME or `_MODULES[NAME]` beside this file."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name == _HELP:
            return _help
        if name not in _COMMANDS and name not in _MODULES:
            return None
        command: click.Command = importlib.import_module(f".{_MODULES.get(name, name)}", __name__).command
        add_variables(command)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pyllama3")
@click.pass_context
def cli(context: click.Context, /) -> None:
    """Run Llama 3 models with an engine written once in Fusion.

    Begin with `pyllama3 run "What is the capital of Japan?"`, or talk: `pyllama3 chat`.
    """
    if context.invoked_subcommand not in (_CONFIG, _HELP):
        context.default_map = read_defaults()


@click.command(_HELP)
@click.argument("name", metavar="[COMMAND]", required=False)
@click.pass_context
def _help(context: click.Context, /, name: str | None) -> None:
    """Show the help of a command, or of all."""
    group = context.find_root()
    if name is None:
        say(group.get_help())
        return
    command = cli.get_command(group, name)
    if command is None:
        raise click.UsageError(f"No such command '{name}'.")
    with command.make_context(name, ["--help"], parent=group):
        """Its help ends the program."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command line and exit: 0 fine, 1 an error told in one line, 2 wrong usage, 130 Ctrl-C, 141 broken pipe."""
    _open_streams()
    # numpy's linear algebra is not used, and starting its threads takes 50 ms
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # nearly all that is made while modules and models are loaded stays; looking for garbage in it takes 20 ms
    gc.set_threshold(50_000)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # for terminals that lack a character
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except click.ClickException as error:
        message = io.StringIO()
        error.show(message)
        click.echo(printable(message.getvalue(), lines=True), err=True, nl=False)
        code = error.exit_code
    except PyLlama3Error as error:
        say(f"pyllama3: {error}", err=True)
        code = 1
    except (KeyboardInterrupt, click.Abort):
        say(err=True)
        code = INTERRUPTED
    except OSError as error:
        # what is still buffered must not be written again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            code = BROKEN_PIPE
        else:
            say(printable(f"pyllama3: {error}"), err=True)
            code = 1
    sys.exit(code)


def _open_streams() -> None:
    """Open /dev/null in place of what was closed: else the first files that are opened would be taken for it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def _run(arguments: list[str]) -> int:
    """Run a command line without the error handling of `click.Group.main`, which ends at broken pipes with 1."""
    if instruction := os.environ.get("_PYLLAMA3_COMPLETE"):
        from click.shell_completion import shell_complete

        from .completion import PROGRAM, VARIABLE

        return shell_complete(cli, {}, PROGRAM, VARIABLE, instruction)
    try:
        with cli.make_context("pyllama3", arguments) as context:
            cli.invoke(context)
    except click.exceptions.Exit as finished:  # --help and --version
        return finished.exit_code
    return 0
