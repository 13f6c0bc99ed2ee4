"""Progress bars on stderr, and no more than a title where stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import click

from ..foreign import printable
from ..store.urls import without_password
from .output import say

if TYPE_CHECKING:
    from ..store.download import Progress


def download_progress(label: str) -> AbstractContextManager[Progress]:
    """Yield what draws the bytes of a download."""
    return progress_bar(f"downloading {without_password(label)}")


@contextmanager
def progress_bar(title: str, *, show_pos: bool = False) -> Iterator[Progress]:
    """Yield what draws how much is done, also in numbers with `show_pos`; title and bar appear at the first call.

    The bar is as wide as the terminal.
    """
    bar = None
    is_titled = False

    def draw(done: int, total: int | None) -> None:
        nonlocal bar, is_titled
        if not is_titled:
            is_titled = True
            say(printable(title), err=True)
            if sys.stderr.isatty():
                bar = click.progressbar(length=total or 0, width=0, file=sys.stderr, show_pos=show_pos)
                bar.__enter__()
        if bar is not None:
            bar.length = total or 0  # each file of several has its own
            bar.update(done - bar.pos)

    try:
        yield draw
    finally:
        if bar is not None:
            bar.__exit__(None, None, None)
