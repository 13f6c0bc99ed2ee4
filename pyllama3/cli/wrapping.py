"""Text that comes in pieces, broken between words where a terminal would break it anywhere."""

from __future__ import annotations

import re

from prompt_toolkit.utils import get_cwidth

_WIDE = "\u2e80-\ud7ff\uf900-\ufaff\uff00-\uffef"
"""Characters of scripts that put no spaces between words."""
_PARTS = re.compile(rf"\n|[^\S\n]+|[{_WIDE}]|[^\s{_WIDE}]+")


class Wrapper:
    """Passes text on as soon as its words are complete, with line feeds where the next word would cross the margin.

    Spaces at a break are dropped. A word that fills a line is shown as it comes.
    """

    def __init__(self, width: int) -> None:
        """Wrap lines of so many columns."""
        self._width = width
        self._column = 0
        self._held = ""
        self._spaces = ""

    def feed(self, text: str) -> str:
        """Return what can be shown now: all but the last word, which may go on."""
        parts = _PARTS.findall(self._held + text)
        self._held = parts.pop() if parts and not parts[-1].isspace() else ""
        shown = "".join(map(self._place, parts))
        return shown + self.flush() if get_cwidth(self._held) >= self._width else shown

    def flush(self) -> str:
        """Return what is held back."""
        shown, self._held = self._place(self._held), ""
        return shown

    def _place(self, part: str) -> str:
        if part == "\n":
            self._column, self._spaces = 0, ""
            return part
        if part.isspace():
            self._spaces += part
            return ""
        spaces, self._spaces = self._spaces, ""
        width = get_cwidth(part)
        if self._column and self._column + get_cwidth(spaces) + width > self._width:
            self._column = width
            return f"\n{part}"
        self._column += get_cwidth(spaces) + width
        return spaces + part


def wrap(text: str, width: int) -> str:
    """Return a text of one or several lines, wrapped."""
    wrapper = Wrapper(width)
    return wrapper.feed(text) + wrapper.flush()
