"""The keyboard while an answer is written: what is typed is kept for the next line, but not shown in the answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform == "win32":

    @contextmanager
    def without_echo() -> Iterator[None]:
        """Do nothing: there, a terminal shows what is typed only when it is read."""
        yield
else:
    import termios

    @contextmanager
    def without_echo() -> Iterator[None]:
        """Let the terminal not show what is typed; Ctrl-C works as always."""
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
        changed = [*before]
        changed[3] &= ~termios.ECHO
        termios.tcsetattr(descriptor, termios.TCSANOW, changed)
        try:
            yield
        finally:
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
