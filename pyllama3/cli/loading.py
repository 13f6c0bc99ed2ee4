"""Loading a model for a command."""

from __future__ import annotations

from typing import Any

import click

from ..backends import default_backend, engine_dir, is_available
from ..model import Llama
from .progress import download_progress


def load_model(model: str, *, backend: str | None, **options: Any) -> Llama:
    """Load a model with a progress bar for its download; say so when it is going to be slow.

    Raises:
        PyLlama3Error: see `Llama.load`.
    """
    if (backend or default_backend()) == "numba" and is_available("numba"):
        from ..backends.numba import is_compiled

        if not is_compiled(engine_dir()):
            click.echo("pyllama3: compiling kernels for this machine, which takes about a minute, once", err=True)
    with download_progress(model) as progress:
        llm = Llama.load(model, backend=backend, progress=progress, **options)
    if backend is None and llm.backend == "python":
        click.echo(
            "pyllama3: the C engine has not been built, so this runs slowly in Python; see pyllama3 info", err=True
        )
    return llm
