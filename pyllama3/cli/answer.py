"""What commands that generate text have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from ..generation.constraint import Grammar, json_object, json_schema, regex
from ..generation.generation import Piece, Statistics
from ..model import Llama
from .loading import load_model
from .options import given
from .output import say
from .waiting import waiting

if TYPE_CHECKING:
    from .wrapping import Wrapper


def generate_options(stack: ExitStack, llm: Llama, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `Llama.generate` for `sampler_options` and `text_options` of the command line.

    A draft model is loaded, which `stack` closes.

    Raises:
        PyLlama3Error: a grammar is wrong, or the draft model cannot be loaded.
    """
    result = given(options)
    result["stop_loops"] = not result.pop("allow_loops")
    result["grammar"] = _grammar(result.pop("as_json"), result.pop("json_schema", None), result.pop("regex", None))
    if options["draft"] is not None:
        smaller = load_model(options["draft"], backend=llm.backend, threads=llm.threads, precision=llm.precision)
        result["draft"] = stack.enter_context(smaller)
    return result


def after_prompt(pieces: Iterable[Piece], tokens: int) -> Iterator[Piece]:
    """Yield pieces, and tell that a prompt of so many tokens is being read if that takes long."""
    iterator = iter(pieces)
    with waiting(f"reading a prompt of {tokens} tokens"):
        first = next(iterator, None)
    if first is not None:
        yield first
        yield from iterator


def print_pieces(pieces: Iterable[Piece], wrapper: Wrapper | None = None) -> Statistics | None:
    """Print text as it comes, wrapped if wanted, with a line feed at its end; return the last statistics, if any."""
    stats = None
    try:
        for piece in pieces:
            stats = piece.stats
            say(wrapper.feed(piece.text) if wrapper else piece.text, nl=False)
    finally:
        if stats is not None:
            say(wrapper.flush() if wrapper else "")
    return stats


def why_cut(stats: Statistics, grammar: Grammar | None) -> str | None:
    """Return what ended an answer before the model did, for people; None if nothing did."""
    if stats.finish_reason in ("stop", None):
        return None
    causes = {
        "length": f"the answer was cut after {stats.tokens} token{'s' if stats.tokens > 1 else ''}",
        "context": "the answer was cut, since the context is full",
        "loop": "the answer was stopped, since it only repeated itself",
    }
    unfinished = "" if grammar is None else ", before it was what --json, --json-schema or --regex asks for"
    return causes[stats.finish_reason] + unfinished


def _grammar(as_json: bool, schema: str | None, pattern: str | None) -> Grammar | None:
    if as_json + (schema is not None) + (pattern is not None) > 1:
        raise click.UsageError("--json, --json-schema and --regex exclude each other.")
    if schema is not None:
        return json_schema(schema)
    if pattern is not None:
        return regex(pattern)
    return json_object() if as_json else None
