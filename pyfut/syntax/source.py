"""The text of a file, and how far it has been read."""

from __future__ import annotations

from pyfut.errors import Diagnostics, Position


class Source:
    """A text with a place in it; the parts of the lexer share one and move the place on."""

    def __init__(self, file: str, text: str, diagnostics: Diagnostics, line: int = 1) -> None:
        self.file = file
        self.text = text
        self.diagnostics = diagnostics
        self.at = 0
        self.line = line

    @property
    def position(self) -> Position:
        """The place to be read next, for diagnostics."""
        return Position(self.file, self.line)

    @property
    def next(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.at : self.at + 1]

    def sees(self, text: str) -> bool:
        """Whether `text` comes next."""
        return self.text.startswith(text, self.at)

    def error(self, message: str) -> None:
        """Record an error at the place."""
        self.diagnostics.error(self.position, message)

    def skip_blanks(self) -> None:
        """Skip spaces and line ends."""
        while self.next and self.next in " \t\r\n":
            self.line += self.next == "\n"
            self.at += 1

    def rest_of_line(self) -> str:
        """Read up to the end of the line."""
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line = self.text[self.at : end]
        self.at = end
        return line
