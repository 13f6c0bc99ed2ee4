"""Loading a model for a command."""

from __future__ import annotations

import os
from typing import Any

from ..model import Llama
from ..store.urls import without_password
from .output import say
from .progress import download_progress
from .waiting import waiting


def load_model(model: str, *, backend: str | None, **options: Any) -> Llama:
    """Load a model with a progress bar for its download; say so when it is going to be slow.

    Raises:
        PyLlama3Error: see `Llama.load`.
    """
    with download_progress(model) as draw, waiting(f"loading {without_password(model)}") as done:

        def progress(received: int, total: int | None) -> None:
            done()  # a download tells of itself
            draw(received, total)

        llm = Llama.load(model, backend=backend, progress=progress, **options)
    cores = os.cpu_count() or 1
    if llm.threads > cores:
        say(f"pyllama3: {llm.threads} threads take turns on {cores} processors; fewer are faster", err=True)
    if backend is None and llm.backend == "python":
        say("pyllama3: the C engine has not been built, so this runs slowly in Python; see pyllama3 info", err=True)
    return llm
