"""`pyllama3 embed`: vectors that stand for texts."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from .options import engine_options, model_option, pop_engine_options
from .output import say


@click.command("embed", short_help="Turn texts into vectors.")
@model_option
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--pooling",
    type=click.Choice(["mean", "last"]),
    default="mean",
    show_default=True,
    help="Take the mean of all tokens, or the last one.",
)
@click.option("--no-normalize", is_flag=True, help="Keep the length of the vectors, which is 1 otherwise.")
@engine_options
def command(model: str, texts: tuple[str, ...], pooling: Any, no_normalize: bool, **options: Any) -> None:
    """Print the vector of each TEXT, or of each line of standard input, as a JSON array on a line.

    A vector is what the last layer makes of the tokens of a text. The product of two vectors tells how near the texts
    are.
    """
    from .loading import load_model
    from .prompt import decode

    if not texts and sys.stdin is not None and not sys.stdin.isatty():
        texts = tuple(decode(sys.stdin.buffer.read()).splitlines())
    if not texts:
        raise click.UsageError("No text: give some as arguments, or lines on standard input.")
    with load_model(model, **pop_engine_options(options)) as llm:
        for vector in llm.embed(texts, pooling=pooling, normalize=not no_normalize):
            say(json.dumps([float(f"{number:.7g}") for number in vector]))
