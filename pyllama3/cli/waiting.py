"""What is waited for, told on a terminal once it takes more than two seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .output import say

PATIENCE = 2.0
"""Seconds."""


@contextmanager
def waiting(for_what: str) -> Iterator[Callable[[], object]]:
    """Tell what is waited for, unless it is done, or the function that is yielded is called, before."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    timer = threading.Timer(PATIENCE, lambda: say(f"{for_what} ...", err=True))
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()
