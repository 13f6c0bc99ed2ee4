"""What ends a text: stop strings, wherever they appear in it, also across the borders of tokens; and loops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arguments import items, text
from ..errors import OptionError

_LONGEST_PERIOD = 256
_REPEATED = 96


class StopFilter:
    """Passes a text on as it comes, up to the first stop string, and holds back what may be the beginning of one."""

    def __init__(self, stops: str | Sequence[str]) -> None:
        """Remember the stop string or strings.

        Raises:
            OptionError: one of them is empty, or is no text.
        """
        listed = [stops] if isinstance(stops, str) else items("stop", stops, "texts")
        self._stops = [text("a stop string", stop) for stop in listed]
        if "" in self._stops:
            raise OptionError("a stop string is empty; it would end every text before it begins")
        self._held = ""
        self.stopped = False
        """Whether a stop string has come; nothing passes any more."""

    def feed(self, piece: str) -> str:
        """Return what can be shown now."""
        if not self._stops:
            return piece
        if self.stopped:
            return ""
        self._held += piece
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            _, start = min(found)  # the first to be complete, however the text is cut into pieces
            shown, self._held = self._held[:start], ""
            return shown
        end = len(self._held) - self._beginning()
        shown, self._held = self._held[:end], self._held[end:]
        return shown

    def flush(self) -> str:
        """Return what is held back: the text has ended, so it begins no stop string."""
        shown, self._held = self._held, ""
        return shown

    def _beginning(self) -> int:
        """Return the length of the longest end of the text that begins a stop string."""
        longest = max(map(len, self._stops), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0


class LoopDetector:
    """Tells when a text does nothing but repeat its end.

    That is so when its last tokens, up to 256 of them, stand there three times in a row, and at least 96 tokens are
    repetitions: a refrain, a table or a row of zeros in a program is no loop yet. Models that run in circles by word
    are found; those that vary what they say again are not.
    """

    def __init__(self) -> None:
        self._last = np.full(_LONGEST_PERIOD, -1, np.int64)
        self._matches = np.zeros(_LONGEST_PERIOD, np.int64)
        """For each period from 1 on, how many tokens at the end equal those one period before."""
        self._enough = np.maximum(2 * np.arange(1, _LONGEST_PERIOD + 1), _REPEATED)

    def feed(self, id: int) -> bool:
        """Take the next token; return whether the text is in a loop."""
        self._matches += 1
        self._matches[self._last != id] = 0
        self._last[1:] = self._last[:-1].copy()
        self._last[0] = id
        return bool((self._matches >= self._enough).any())
