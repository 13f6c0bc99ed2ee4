"""`pyllama3 run`: answer a prompt or continue a text."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .opening import open_model, pipeline_options
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
from .output import say
from .prompt import encode_question, read_prompt

if TYPE_CHECKING:
    from ..generation.generation import Piece

_MAX_TOKENS = 1024
"""By default; what a small model says beyond is seldom worth waiting for."""


@click.command("run", short_help="Answer a prompt or continue a text.")
@model_option
@click.argument("prompt", required=False)
@click.option("-p", "--prompt", "prompt_option", metavar="TEXT", help="The prompt, instead of the argument.")
@max_tokens_option(f"{_MAX_TOKENS}")
@click.option("--system", metavar="TEXT", help="System message for a chat model.")
@click.option("--raw", is_flag=True, help="Continue the text as it is, without the model's chat template.")
@click.option("--no-special", is_flag=True, help="With --raw, take names such as <|eot_id|> as text.")
@click.option(
    "--prompt-cache",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep what the model made of the prompt here, so that a prompt that begins the same is read faster.",
)
@pipeline_options
@chat_template_option
@engine_options
@sampler_options
@text_options
@click.option("-q", "--quiet", is_flag=True, help="Do not report the speed.")
def command(
    model: str,
    prompt: str | None,
    prompt_option: str | None,
    max_tokens: int | None,
    system: str | None,
    raw: bool,
    no_special: bool,
    prompt_cache: Path | None,
    ray: str | None,
    pipeline: int | None,
    chat_template: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Answer PROMPT, or continue it: models with a chat template answer, others (and --raw) continue.

    Without a prompt, on a terminal, it is a conversation (pyllama3 chat).

    What comes on standard input is added to the prompt. The text goes to standard output, the speed to standard error.
    """
    if prompt is not None and prompt_option is not None:
        raise click.UsageError("The prompt is given twice: as an argument and with -p.")
    prompt = prompt if prompt is not None else prompt_option
    is_spread = ray is not None or pipeline is not None
    if (
        prompt is None
        and not raw
        and prompt_cache is None
        and not is_spread
        and sys.stdin.isatty()
        and sys.stdout.isatty()
    ):
        from .chat import command as chat

        names = {"model": model, "system": system, "max_tokens": max_tokens, "chat_template": chat_template}
        click.get_current_context().invoke(chat, load=None, continue_last=False, **names, **options)
        return
    text = read_prompt(prompt)

    from ..generation.prompt_cache import load_prompt, saving
    from .answer import after_prompt, generate_options, print_pieces, why_cut

    with ExitStack() as stack:
        engine = pop_engine_options(options)
        llm = stack.enter_context(open_model(model, ray=ray, pipeline=pipeline, chat_template=chat_template, **engine))
        ids = encode_question(llm, text, system=system, raw=raw, special=not no_special)
        session = stack.enter_context(llm.session())
        if prompt_cache is not None and prompt_cache.exists():
            load_prompt(prompt_cache, session)
        limit = _limit(max_tokens, llm.context - len(ids))
        settings = generate_options(stack, llm, options)
        pieces: Iterator[Piece] = llm.generate(ids, max_tokens=limit, session=session, **settings)
        if prompt_cache is not None:
            pieces = saving(prompt_cache, session, ids, pieces)
        stats = print_pieces(after_prompt(pieces, len(ids)))
        if stats is None:
            return
        if cut := why_cut(stats, settings["grammar"]):
            remedy = {
                "length": f"-n allows more, -n {NO_LIMIT} as many as fit",
                "context": f"it holds {llm.context} tokens; -c makes it larger",
                "loop": "--allow-loops goes on",
            }
            say(f"pyllama3: {cut}; {remedy[str(stats.finish_reason)]}", err=True)
        if not quiet:
            guessed = f", {stats.accepted} of {stats.drafted} guesses right" if stats.drafted else ""
            say(
                f"prompt: {stats.prompt_tokens} tokens, {stats.prompt_speed:.1f} tokens/s; "
                f"generation: {stats.tokens} tokens, {stats.speed:.1f} tokens/s{guessed} "
                f"({llm.backend}, {llm.threads} thread{'s' if llm.threads > 1 else ''})",
                err=True,
            )


def _limit(max_tokens: int | None, room: int) -> int | None:
    """Return how many tokens may come; None for as many as there is room for."""
    if max_tokens is None:
        return _MAX_TOKENS if room > _MAX_TOKENS else None
    return None if max_tokens == NO_LIMIT else max_tokens
