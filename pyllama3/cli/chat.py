"""`pyllama3 chat`: a conversation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OptionError
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
from .prompt import decode

if TYPE_CHECKING:
    from ..conversation import Conversation
    from ..model import Llama


@click.command("chat", short_help="Talk to a model.")
@model_option
@click.option("--system", metavar="TEXT", help="System message.")
@click.option("--load", type=click.Path(path_type=Path), metavar="FILE", help="Continue a saved conversation.")
@click.option("--continue", "continue_last", is_flag=True, help="Continue the last conversation of a terminal.")
@max_tokens_option("no limit")
@chat_template_option
@engine_options
@sampler_options
@text_options
def command(
    model: str,
    system: str | None,
    load: Path | None,
    continue_last: bool,
    max_tokens: int | None,
    chat_template: str | None,
    **options: Any,
) -> None:
    r"""Talk to a model: each line is a message, or a command such as /help.

    A line that ends in \\ goes on, and so does one that begins with \"\"\". Ctrl-C stops an answer, Ctrl-D ends the
    conversation. What is typed in a terminal, and the last conversation, are kept in the cache (pyllama3 info), for
    nobody else to read.

    Where standard input or output is not a terminal there are only the answers, and an error ends the program.
    """
    from ..conversation import Conversation
    from .answer import generate_options

    if load is not None and continue_last:
        raise click.UsageError("--load and --continue exclude each other.")
    engine = pop_engine_options(options)
    with ExitStack() as stack:
        llm = stack.enter_context(_load(model, chat_template, engine))
        conversation = Conversation(llm)
        stack.enter_context(conversation.session)
        if load is not None:
            conversation.load(load)
        settings = generate_options(stack, llm, options)
        if max_tokens not in (None, NO_LIMIT):
            settings["max_tokens"] = max_tokens
        is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        if continue_last:
            from .terminal import last_conversation

            conversation.load(last_conversation())
        if system is not None:
            conversation.system = system
        _hold(conversation, settings, partial(_load, chat_template=chat_template, engine=engine), is_terminal)


def _load(model: str, chat_template: str | None, engine: dict[str, Any]) -> Llama:
    from .loading import load_model

    llm = load_model(model, chat_template=chat_template, **engine)
    if llm.template is None:
        raise OptionError(f"{llm.config.name} has no chat template; use --chat-template, or pyllama3 run")
    return llm


def _hold(
    conversation: Conversation, settings: dict[str, Any], load: Callable[[str], Llama], is_terminal: bool
) -> None:
    from .slash_commands import Chat

    if is_terminal:
        from .terminal import confirm, converse, show_answer

        converse(Chat(conversation, settings, load=load, show=show_answer, confirm=confirm))
        return
    from .lines import read_line

    chat = Chat(conversation, settings, load=load)
    lines = map(decode, sys.stdin.buffer)
    with suppress(EOFError):
        while True:
            line = read_line(lambda _: _next(lines))
            if line.text.strip() and not chat.handle(line):
                break


def _next(lines: Iterator[str]) -> str:
    for line in lines:
        return line.removesuffix("\n")
    raise EOFError
