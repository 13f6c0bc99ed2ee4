"""`pyllama3 run`: answer a prompt or continue a text."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from .options import (
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


@click.command("run", short_help="Answer a prompt or continue a text.")
@model_option
@click.argument("prompt", required=False)
@click.option("-p", "--prompt", "prompt_option", metavar="TEXT", help="The prompt, instead of the argument.")
@max_tokens_option
@click.option("--system", metavar="TEXT", help="System message for a chat model.")
@click.option("--raw", is_flag=True, help="Continue the text as it is, without the model's chat template.")
@click.option("--no-special", is_flag=True, help="With --raw, take names such as <|eot_id|> as text.")
@click.option(
    "--prompt-cache",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep what the model made of the prompt here, so that a prompt that begins the same is read faster.",
)
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
    chat_template: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Answer PROMPT, or continue it: models with a chat template answer, others (and --raw) continue.

    What comes on standard input is added to the prompt. The text goes to standard output, the speed to standard error.
    """
    if prompt is not None and prompt_option is not None:
        raise click.UsageError("The prompt is given twice: as an argument and with -p.")
    text = read_prompt(prompt if prompt is not None else prompt_option)

    from ..generation.prompt_cache import load_prompt, saving
    from .answer import generate_options, print_pieces
    from .loading import load_model

    with ExitStack() as stack:
        llm = stack.enter_context(load_model(model, chat_template=chat_template, **pop_engine_options(options)))
        ids = encode_question(llm, text, system=system, raw=raw, special=not no_special)
        session = stack.enter_context(llm.session())
        if prompt_cache is not None and prompt_cache.exists():
            load_prompt(prompt_cache, session)
        pieces = llm.generate(ids, max_tokens=max_tokens, session=session, **generate_options(stack, llm, options))
        stats = print_pieces(pieces if prompt_cache is None else saving(prompt_cache, session, ids, pieces))
        if stats is None:
            return
        if stats.finish_reason == "context":
            say(f"pyllama3: the context of {llm.context} tokens is full; -c makes it larger", err=True)
        if not quiet:
            guessed = f", {stats.accepted} of {stats.drafted} guesses right" if stats.drafted else ""
            say(
                f"prompt: {stats.prompt_tokens} tokens, {stats.prompt_speed:.1f} tokens/s; "
                f"generation: {stats.tokens} tokens, {stats.speed:.1f} tokens/s{guessed} "
                f"({llm.backend}, {llm.threads} thread{'s' if llm.threads > 1 else ''})",
                err=True,
            )
