"""Source positions and the collected diagnostics of one compilation."""

from typing import NamedTuple


class Position(NamedTuple):
    """A line of a source file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}({self.line})" if self.line else self.file


class ParseError(Exception):
    """Unwinds the parser to the nearest place where it can resume; the diagnostic is already recorded."""


class Diagnostics:
    """Errors in the order of discovery, without repetitions."""

    def __init__(self) -> None:
        self.errors: list[tuple[Position, str]] = []

    def error(self, position: Position, message: str) -> None:
        """Record `message` for `position`."""
        if (position, message) not in self.errors:
            self.errors.append((position, message))

    def lines(self) -> list[str]:
        """Return the messages in the order of files and lines."""
        files = list(dict.fromkeys(position.file for position, _ in self.errors))
        ordered = sorted(self.errors, key=lambda error: (files.index(error[0].file), error[0].line))
        return [f"{position}: ERROR: {message}" for position, message in ordered]

    def unsupported(self, position: Position, construct: str) -> None:
        """Record that `construct` is valid Fusion which this compiler does not cover."""
        self.error(position, f"{construct} is not supported by pyfut")
