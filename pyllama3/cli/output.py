"""What commands write."""

from __future__ import annotations

import sys

import click

from ..foreign import printable


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Write a text to standard output or, with `err`, to standard error; by default with a line feed.

    Whoever wrote it, it does nothing to a terminal; files and pipes get it as it is.
    """
    stream = sys.stderr if err else sys.stdout
    click.echo(printable(str(text), lines=True) if stream.isatty() else str(text), err=err, nl=nl)
