"""Self-contained HTML pages: templates beside this file, which load nothing from anywhere."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import jinja2


def write_page(path: Path, template: str, **values: Any) -> None:
    """Render a template of this folder to a file, which is replaced only when the page is complete."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    text = environment.get_template(template).render(values)
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=path.name)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
