"""Progress bars on stderr, and no more than a title where stderr is not a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import click

from ..errors import StoreError
from ..foreign import printable
from ..store.aliases import find_hub_file, find_packaged
from ..store.urls import without_password
from .output import say
from .sizes import size_text

if TYPE_CHECKING:
    from ..store.download import Progress


LARGE = 10**9
"""Bytes of a download that is asked for."""


def download_progress(ref: str, *, yes: bool = False) -> AbstractContextManager[Progress]:
    """Yield what draws the bytes of a download, after asking whether a large one of the hub is wanted, unless `yes`.

    Raises:
        Abort: it is not.
        StoreError: there is nobody to ask, or the hub does not have it.
    """
    if not yes:
        _ask(ref)
    return progress_bar(f"downloading {without_password(ref)}")


def _ask(ref: str) -> None:
    wanted = find_hub_file(ref) or ref
    if os.path.exists(ref) or find_packaged(ref) or not wanted.startswith("hf:"):
        return
    from ..store.hub import find_offer

    offer = find_offer(wanted)
    if offer is None or offer.size < LARGE:
        return
    text = printable(f"{offer.name}: {size_text(offer.size)}, license: {offer.license}")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise StoreError(f"{text}; to download so much, say so: pyllama3 pull --yes {ref}")
    say(text, err=True)
    click.confirm("Download?", abort=True, err=True)


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
