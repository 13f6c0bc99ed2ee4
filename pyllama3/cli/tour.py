"""`pyllama3 tour`: open docs/tour.md, which walks from a question to its answer."""

from __future__ import annotations

import webbrowser
from importlib.util import find_spec

import click

from .output import say


@click.command("tour", short_help="Walk from a question to its answer in 20 minutes.")
@click.option("--path", "only_path", is_flag=True, help="Only print where the page is.")
def command(only_path: bool) -> None:
    """Open the tour: a token on its way through the model, with formulas, numbers, pictures and exercises.

    It opens in a browser if there is one and the extra `tour` is installed; otherwise its path is printed.
    """
    from ..analysis.pages.tour import find_tour, write_page
    from ..files import cache_dir

    page = find_tour()
    if only_path:
        say(page)
        return
    if find_spec("markdown_it") is None:
        say(page)
        say("To read it in a browser: pip install 'pyllama3[tour]'", err=True)
        return
    html = cache_dir() / "tour.html"
    html.parent.mkdir(parents=True, exist_ok=True)
    write_page(html, page)
    webbrowser.open(html.as_uri())
    say(html)
