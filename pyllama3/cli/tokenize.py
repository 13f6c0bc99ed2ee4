"""`pyllama3 tokenize`: show the tokens of a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..foreign import printable
from .options import chat_template_option, model_option
from .output import say

if TYPE_CHECKING:
    from ..tokenizer.vocabulary import Vocabulary


@click.command("tokenize", short_help="Show the tokens of a text.")
@model_option
@click.argument("text", required=False)
@click.option("--special", is_flag=True, help="Take names such as <|eot_id|> as special tokens.")
@click.option("--chat", is_flag=True, help="Show what the model sees when TEXT is a message to it.")
@click.option("--system", metavar="TEXT", help="System message, with --chat.")
@click.option("--load", type=click.Path(path_type=Path), metavar="FILE", help="Saved conversation, with --chat.")
@chat_template_option
@click.option("--ids", "only_ids", is_flag=True, help="Print only the ids, on one line.")
@click.option("--merges", is_flag=True, help="Show how bytes merge to tokens, step by step.")
def command(
    model: str,
    text: str | None,
    special: bool,
    chat: bool,
    system: str | None,
    load: Path | None,
    chat_template: str | None,
    only_ids: bool,
    merges: bool,
) -> None:
    """Print one token of TEXT (or of standard input) per line: its id and its text."""
    from ..conversation import read_messages
    from ..store.find import find_model
    from ..tokenizer.chat_template import DEFAULT, encode_chat, find_template
    from ..tokenizer.tokenizer import Tokenizer
    from ..weights import load_weights
    from .progress import download_progress
    from .prompt import read_prompt

    if not chat and (system is not None or load is not None or chat_template is not None):
        raise click.UsageError("--system, --load and --chat-template belong to --chat.")
    if merges and (chat or special or only_ids):
        raise click.UsageError("--merges is for plain text, without --chat, --special and --ids.")
    if load is None or text is not None:
        text = read_prompt(text)
    with download_progress(model) as progress:
        path = find_model(model, progress=progress)
    weights = load_weights(path)
    vocabulary = weights.load_vocabulary()
    if merges:
        _show_merges(path, vocabulary, str(text))
        return
    tokenizer = Tokenizer(vocabulary)
    if chat:
        template = find_template({DEFAULT: chat_template} if chat_template else weights.load_templates(), vocabulary)
        if template is None:
            raise click.ClickException(f"{path}: the model has no chat template")
        messages = read_messages(load) if load is not None else []
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        if text is not None:
            messages.append({"role": "user", "content": text})
        ids = encode_chat(tokenizer, template, messages)
    else:
        ids = tokenizer.encode(str(text), special=special)
    if only_ids:
        say(" ".join(map(str, ids)))
        return
    width = len(str(tokenizer.vocab_size - 1))
    for id in ids:
        say(f"{id:{width}}  {tokenizer.token_name(id)}{'  (special)' if tokenizer.is_special(id) else ''}")


def _show_merges(path: Path, vocabulary: Vocabulary, text: str) -> None:
    from ..analysis.reference_tokenizer import reference_tokenizer
    from ..errors import OptionError

    try:
        tokenizer = reference_tokenizer(vocabulary)
    except OptionError as error:
        raise OptionError(f"{path}: {error}") from None
    for piece in tokenizer.pieces(text):
        for parts in tokenizer.steps(piece):
            say("|".join(printable(part.decode("utf-8", "backslashreplace")) for part in parts))
        say()
