"""What has to be done at the ends of scopes."""

from __future__ import annotations

from pyfut.output import Output


class Cleanups:
    """Knows, for each open scope, the lines that release what it created, in order of creation."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.pending: list[list[str]] = []

    def __len__(self) -> int:
        return len(self.pending)

    def add(self, *lines: str) -> None:
        """Have lines written at the end of the innermost scope."""
        self.pending[-1] += lines

    def any(self) -> bool:
        """Whether there is anything to be done at the end of the function."""
        return any(self.pending)

    def enter(self) -> None:
        """Open a scope."""
        self.pending.append([])

    def exit(self, reached: bool) -> None:
        """Close the innermost scope, whose end may be `reached`."""
        lines = self.pending.pop()
        if reached:
            self.output.write(lines[::-1])

    def leave(self, depth: int = 0, kept: str = "") -> None:
        """Write the lines of the scopes above `depth`, except one, before a jump out of them."""
        for lines in reversed(self.pending[depth:]):
            self.output.write([line for line in reversed(lines) if line != kept])
