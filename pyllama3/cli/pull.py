"""`pyllama3 pull`: download a model."""

from __future__ import annotations

import click

from .output import say
from .progress import download_progress


@click.command("pull", short_help="Download a model.")
@click.argument("model")
def command(model: str) -> None:
    """Make sure that MODEL (an alias, hf:org/repo[:file] or a URL) is on this machine, and print where."""
    from ..store.find import pull

    with download_progress(model) as progress:
        found = pull(model, progress=progress)
    say(f"taken from {found.origin}", err=True)
    say(found.path)
