"""`pyllama3 explain`: a page that shows why the model says what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from .options import engine_options, given, model_option, pop_engine_options, sampler_options
from .output import say


@click.command("explain", short_help="Write a page that shows why each token was chosen.")
@model_option
@click.argument("prompt")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("explain.html"),
    show_default=True,
    help="The page, which is replaced if it exists.",
)
@click.option("-n", "--max-tokens", type=int, default=8, show_default=True, metavar="N", help="Tokens to generate.")
@click.option("--system", metavar="TEXT", help="System message for a chat model.")
@click.option("--raw", is_flag=True, help="Continue the text as it is, without the model's chat template.")
@engine_options
@sampler_options
def command(
    model: str,
    prompt: str,
    output: Path,
    max_tokens: int,
    system: str | None,
    raw: bool,
    **sampling: Any,
) -> None:
    """Answer PROMPT as `pyllama3 run` does, and write an HTML page about it, which needs no network.

    It shows the tokens, what each layer would predict, where each head looks, what each branch adds, and for each
    generated token the candidates that survive each step of the sampler and the random number that chose.
    """
    from ..analysis.explain.explanation import explain
    from ..analysis.pages.explain import write_page
    from .loading import load_model
    from .prompt import encode_question
    from .waiting import waiting

    if not prompt:
        raise click.UsageError("The prompt is empty.")
    with load_model(model, **pop_engine_options(sampling)) as llm:
        ids = encode_question(llm, prompt, system=system, raw=raw)
        options = replace(llm.sampling, **given(sampling))
        with waiting(f"running {len(ids)} tokens and {max_tokens} more, and looking into each layer"):
            explanation = explain(llm, ids, max_tokens=max_tokens, options=options)
        write_page(output, explanation, llm)
        say(llm.tokenizer.decode(explanation.ids[explanation.prompt_length :]))
    say(f"{output} tells why", err=True)
