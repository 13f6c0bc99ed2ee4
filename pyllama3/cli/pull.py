"""`pyllama3 pull`: download a model."""

from __future__ import annotations

import click

from .options import MODEL
from .output import say
from .progress import download_progress


@click.command("pull", short_help="Download a model.")
@click.argument("model", type=MODEL)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before large downloads.")
def command(model: str, yes: bool) -> None:
    """Make sure that MODEL (a name of pyllama3 list, hf:org/repo[:file] or a URL) is on this machine, and print where.

    Names are those of ollama, in any case: llama3.2, llama3.2:1b, llama3.1:8b-q8_0. A download of the hub of 1 GB or
    more is asked for, with its license.
    """
    from ..store.find import pull

    with download_progress(model, yes=yes) as progress:
        found = pull(model, progress=progress)
    say(f"taken from {found.origin}", err=True)
    say(found.path)
