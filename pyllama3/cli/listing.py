"""`pyllama3 list`: which models are on this machine."""

from __future__ import annotations

import json

import click

from .output import say
from .sizes import size_text


@click.command("list", short_help="Show the models that were downloaded.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show the models that were downloaded, by the names that load them, and how much room they take."""
    from ..files import cache_dir
    from ..store.aliases import names
    from ..store.local import list_models

    models = list_models()
    if as_json:
        rows = [{"name": model.name, "bytes": model.size, "path": str(model.paths[0])} for model in models]
        say(json.dumps(rows, indent=1))
        return
    for model in models:
        say(f"{size_text(model.size):>10}  {model.name}")
    total = size_text(sum(model.size for model in models))
    say(f"{total} in all; cache: {cache_dir()}; pyllama3 rm removes them", err=True)
    say(f"names to pull: {', '.join(names())}", err=True)
