"""`pyllama3 tokenize`: show the tokens of a text."""

from __future__ import annotations

import click

from .options import model_option


@click.command("tokenize", short_help="Show the tokens of a text.")
@model_option
@click.argument("text", required=False)
@click.option("--special", is_flag=True, help="Take names such as <|eot_id|> as special tokens.")
@click.option("--ids", "only_ids", is_flag=True, help="Print only the ids, on one line.")
def command(model: str, text: str | None, special: bool, only_ids: bool) -> None:
    """Print one token of TEXT (or of standard input) per line: its id and its text."""
    from ..store import find_model
    from ..tokenizer import Tokenizer
    from ..weights import load_weights
    from .progress import download_progress
    from .prompt import read_prompt

    text = read_prompt(text)
    with download_progress(model) as progress:
        path = find_model(model, progress=progress)
    tokenizer = Tokenizer(load_weights(path).load_vocabulary())
    ids = tokenizer.encode(text, special=special)
    if only_ids:
        click.echo(" ".join(map(str, ids)))
        return
    width = len(str(tokenizer.vocab_size - 1))
    for id in ids:
        click.echo(f"{id:{width}}  {tokenizer.token_name(id)}{'  (special)' if tokenizer.is_special(id) else ''}")
