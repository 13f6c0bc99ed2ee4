"""`pyllama3 rm`: remove models that were downloaded."""

from __future__ import annotations

import click

from .output import say
from .sizes import size_text


@click.command("rm", short_help="Remove models that were downloaded.")
@click.argument("models", nargs=-1, metavar="MODEL...")
@click.option("--all", "everything", is_flag=True, help="All that pyllama3 list shows.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(models: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Remove downloaded models, each by its name in pyllama3 list. Other files are never removed."""
    from ..store.local import find_local, list_models, remove

    if bool(models) == everything:
        raise click.UsageError("Name the models to remove, or give --all.")
    found = list_models() if everything else [find_local(name) for name in models]
    for model in found:
        say(f"{size_text(model.size):>10}  {model.name}", err=True)
    if found and not yes:
        click.confirm("Remove?", abort=True, err=True)
    for model in found:
        remove(model)
    say(f"{size_text(sum(model.size for model in found))} removed", err=True)
