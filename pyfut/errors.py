"""Source positions and the collected diagnostics of one compilation."""

from typing import NamedTuple


class Position(NamedTuple):
    """A line of a source file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}({self.line})"


class SyntaxFailure(Exception):
    """Unwinds the parser to the nearest place where it can resume; the diagnostic is already recorded."""


class Diagnostics:
    """Errors in the order of discovery, without repetitions."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def error(self, position: Position, message: str) -> None:
        """Record `message` for `position`."""
        text = f"{position}: ERROR: {message}"
        if text not in self.messages:
            self.messages.append(text)

    def unsupported(self, position: Position, construct: str) -> None:
        """Record that `construct` is valid Fusion which this compiler does not cover."""
        self.error(position, f"{construct} is not supported by pyfut")
