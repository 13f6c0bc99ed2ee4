"""The lines of a target file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Output:
    """Collects lines; all writers of a file share one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0

    def line(self, text: str = "") -> None:
        """Add a line at the current indentation."""
        self.lines.append("\t" * self.depth + text if text else "")

    def write(self, lines: list[str]) -> None:
        """Add lines at the current indentation."""
        for text in lines:
            self.line(text)

    def replace(self, index: int, text: str) -> None:
        """Write a line again, at the current indentation."""
        self.lines[index] = "\t" * self.depth + text

    def verbatim(self, text: str) -> None:
        """Add a native block: its first line at the current indentation, the others as they are."""
        first, *others = text.split("\n")
        if first.strip():
            self.line(first.strip())
        if others and not others[-1].strip():
            others.pop()
        self.lines += [other.rstrip() for other in others]

    @contextmanager
    def indented(self) -> Iterator[None]:
        """Indent what is added inside."""
        self.depth += 1
        yield
        self.depth -= 1

    @contextmanager
    def captured(self) -> Iterator[list[str]]:
        """Put what is added inside into the list returned instead, at no indentation."""
        lines, depth = self.lines, self.depth
        self.lines, self.depth = [], 0
        yield self.lines
        self.lines, self.depth = lines, depth
