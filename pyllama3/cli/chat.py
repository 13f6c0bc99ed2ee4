"""`pyllama3 chat`: a conversation."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from .options import (
    NO_LIMIT,
    chat_template_option,
    engine_options,
    max_tokens_option,
    model_option,
    pop_engine_options,
    sampler_options,
    text_options,
)


@click.command("chat", short_help="Talk to a model.")
@model_option
@click.option("--system", metavar="TEXT", help="System message.")
@click.option("--load", type=click.Path(path_type=Path), metavar="FILE", help="Continue a saved conversation.")
@max_tokens_option("no limit")
@chat_template_option
@engine_options
@sampler_options
@text_options
def command(
    model: str,
    system: str | None,
    load: Path | None,
    max_tokens: int | None,
    chat_template: str | None,
    **options: Any,
) -> None:
    r"""Talk to a model: each line is a message, or a command such as /help. A line that ends in \ goes on.

    Ctrl-C stops an answer, Ctrl-D ends the conversation. Where standard input or output is not a terminal there are
    only the answers, and an error ends the program.
    """
    from ..conversation import Conversation
    from .answer import generate_options
    from .loading import load_model
    from .slash_commands import Chat

    with ExitStack() as stack:
        llm = stack.enter_context(load_model(model, chat_template=chat_template, **pop_engine_options(options)))
        if llm.template is None:
            raise click.ClickException(f"{llm.config.name} has no chat template; use --chat-template, or pyllama3 run")
        conversation = Conversation(llm)
        stack.enter_context(conversation.session)
        if load is not None:
            conversation.load(load)
        if system is not None:
            conversation.system = system
        chat = Chat(
            conversation,
            {"max_tokens": None if max_tokens == NO_LIMIT else max_tokens, **generate_options(stack, llm, options)},
        )
        if sys.stdin.isatty() and sys.stdout.isatty():
            from .terminal import converse

            converse(chat)
        else:
            for text in _messages():
                if not chat.handle(text):
                    break


def _messages() -> Any:
    """Yield the messages on standard input."""
    from .prompt import decode

    text = ""
    for line in map(decode, sys.stdin.buffer):
        text += line.removesuffix("\n")
        if text.endswith("\\"):
            text = text[:-1] + "\n"
            continue
        if text.strip():
            yield text
        text = ""
    if text.strip():
        yield text
