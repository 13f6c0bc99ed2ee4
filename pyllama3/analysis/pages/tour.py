"""The tour as a page that needs no network."""

from __future__ import annotations

import base64
import re
from itertools import chain, pairwise
from pathlib import Path

from ...errors import PyLlama3Error
from ...files import PACKAGE
from .render import render_page


def find_tour() -> Path:
    """Return the path of tour.md: that in the wheel, else that of the checkout.

    Raises:
        PyLlama3Error: it is in neither.
    """
    places = [PACKAGE / "_docs" / "tour.md", PACKAGE.parent / "docs" / "tour.md"]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise PyLlama3Error(f"{places[-1]}: the tour is not there")
    return found


def write_page(path: Path, source: Path) -> None:
    """Render a Markdown file to a page with its pictures inside; links to files that are not there become text."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(source.read_text(encoding="utf-8"))
    for token, content in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(content.content))
    for token in chain.from_iterable(block.children or () for block in tokens):
        if token.type == "image":
            picture = (source.parent / str(token.attrs["src"])).read_bytes()
            token.attrSet("src", f"data:image/svg+xml;base64,{base64.b64encode(picture).decode()}")
        elif token.type == "link_open" and not re.match(r"#|\w+:", str(token.attrs["href"])):
            target = (source.parent / str(token.attrs.pop("href"))).resolve()
            if target.exists():
                token.attrSet("href", target.as_uri())
    render_page(path, "tour.html", body=markdown.renderer.render(tokens, markdown.options, {}))


def anchor(heading: str) -> str:
    """Return the name by which GitHub links to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
