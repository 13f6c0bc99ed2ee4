"""Rendering of the templates beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from ...files import replacing


def render_text(template: str, **values: Any) -> str:
    """Render a template of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(values)


def render_page(path: Path, template: str, **values: Any) -> None:
    """Render a template of this folder to a file, which is replaced only when the page is complete."""
    text = render_text(template, **values)
    with replacing(path) as file:
        file.write(text.encode())
