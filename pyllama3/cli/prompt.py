"""Text from the command line and from standard input."""

from __future__ import annotations

import sys

import click


def read_prompt(prompt: str | None) -> str:
    """Return the prompt followed by standard input, if that is a file or a pipe with something in it.

    Raises:
        UsageError: there is neither.
    """
    piped = "" if sys.stdin is None or sys.stdin.isatty() else _decode(sys.stdin.buffer.read())
    parts = [part for part in (prompt, piped) if part]
    if not parts:
        raise click.UsageError("No prompt: give it as an argument, with -p or on standard input.")
    return "\n\n".join(parts)


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.ClickException(
            f"standard input is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}"
        ) from None
