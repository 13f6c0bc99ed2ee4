"""`pyllama3 run`: answer a prompt or continue a text."""

from __future__ import annotations

from typing import Any

import click

from .options import engine_options, model_option, sampler_options
from .prompt import read_prompt


@click.command("run", short_help="Answer a prompt or continue a text.")
@model_option
@click.argument("prompt", required=False)
@click.option("-p", "--prompt", "prompt_option", metavar="TEXT", help="The prompt, instead of the argument.")
@click.option(
    "-n",
    "--max-tokens",
    type=int,
    metavar="N",
    help="Tokens to generate; by default (and for -1) until the model stops.",
)
@click.option("--system", metavar="TEXT", help="System message for a chat model.")
@click.option("--raw", is_flag=True, help="Continue the text as it is, without the model's chat template.")
@engine_options
@sampler_options
@click.option("-q", "--quiet", is_flag=True, help="Do not report the speed.")
def command(
    model: str,
    prompt: str | None,
    prompt_option: str | None,
    max_tokens: int | None,
    system: str | None,
    raw: bool,
    backend: str | None,
    threads: int | None,
    exact: bool,
    context: int | None,
    quiet: bool,
    **sampling: Any,
) -> None:
    """Answer PROMPT, or continue it: models with a chat template answer, others (and --raw) continue.

    What comes on standard input is added to the prompt. The text goes to standard output, the speed to standard error.
    """
    if prompt is not None and prompt_option is not None:
        raise click.UsageError("The prompt is given twice: as an argument and with -p.")
    text = read_prompt(prompt if prompt is not None else prompt_option)
    if max_tokens == -1:
        max_tokens = None

    from .loading import load_model

    with load_model(model, backend=backend, threads=threads, exact=exact, context=context) as llm:
        if raw or llm.template is None:
            if system is not None:
                raise click.UsageError("--system needs a model with a chat template, and no --raw.")
            pieces = llm.generate(text, max_tokens=max_tokens, **sampling)
        else:
            messages = [{"role": "system", "content": system}] if system is not None else []
            pieces = llm.chat([*messages, {"role": "user", "content": text}], max_tokens=max_tokens, **sampling)
        stats = None
        try:
            for piece in pieces:
                click.echo(piece.text, nl=False)
                stats = piece.stats
        finally:
            if stats is not None:
                click.echo()
        if stats is None:
            return
        if stats.finish_reason == "context":
            click.echo(f"pyllama3: the context of {llm.context} tokens is full; -c makes it larger", err=True)
        if not quiet:
            click.echo(
                f"prompt: {stats.prompt_tokens} tokens, {stats.prompt_speed:.1f} tokens/s; "
                f"generation: {stats.tokens} tokens, {stats.speed:.1f} tokens/s "
                f"({llm.backend}, {llm.threads} thread{'s' if llm.threads > 1 else ''})",
                err=True,
            )
