"""Text from the command line and from standard input, and its tokens."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..model import Llama


def read_prompt(prompt: str | None) -> str:
    """Return the prompt followed by standard input, if that is a file or a pipe with something in it.

    Raises:
        UsageError: there is neither.
    """
    piped = "" if sys.stdin is None or sys.stdin.isatty() else decode(sys.stdin.buffer.read())
    parts = [part for part in (prompt, piped) if part]
    if not parts:
        raise click.UsageError("No prompt: give it as an argument, with -p or on standard input.")
    return "\n\n".join(parts)


def encode_question(llm: Llama, text: str, *, system: str | None, raw: bool, special: bool = True) -> list[int]:
    """Return the tokens of a message to a model that chats, or of a text to continue if it does not, or if `raw`.

    Names of special tokens in a text to continue are those tokens, unless `special` is false.

    Raises:
        UsageError: there is a system message, but no chat.
        TemplateError: the chat template refuses the messages.
    """
    if raw or llm.template is None:
        if system is not None:
            raise click.UsageError("--system needs a model with a chat template, and no --raw.")
        return llm.encode_prompt(text, special=special)
    messages = [{"role": "system", "content": system}] if system is not None else []
    return llm.encode_chat([*messages, {"role": "user", "content": text}])


def decode(data: bytes) -> str:
    """Return the text that was read from standard input.

    Raises:
        ClickException: it is not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise click.ClickException(
            f"standard input is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}"
        ) from None
