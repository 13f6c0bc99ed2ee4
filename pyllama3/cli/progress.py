"""A progress bar for downloads on stderr, and nothing where stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..download import Progress


@contextmanager
def download_progress(label: str) -> Iterator[Progress]:
    """Yield what draws the bytes done so far; the bar appears with the first bytes."""
    bar = None

    def draw(done: int, total: int | None) -> None:
        nonlocal bar
        if bar is None:
            click.echo(f"downloading {label}", err=True)
            bar = click.progressbar(length=total or 0, file=sys.stderr, show_pos=False)
            bar.__enter__()
        bar.update(done - bar.pos)

    try:
        yield draw
    finally:
        if bar is not None:
            bar.__exit__(None, None, None)
