"""Options that several commands share, spelled as people know them from llama.cpp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

DEFAULT_MODEL = "smollm2"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _apply(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


model_option = click.option(
    "-m",
    "--model",
    default=DEFAULT_MODEL,
    show_default=True,
    metavar="MODEL",
    help="A file, an alias, hf:org/repo[:file] or a URL.",
)

engine_options = _apply(
    click.option("--backend", metavar="NAME", help="c or python; by default the fastest that was built."),
    click.option("-t", "--threads", type=int, metavar="N", help="Threads; by default one per physical core."),
    click.option("--exact", is_flag=True, help="Compute in single precision: slower, closest to the true model."),
    click.option("-c", "--context", type=int, metavar="N", help="Tokens of context; by default 4096 or the model's."),
)
"""How a model is loaded: `backend`, `threads`, `exact`, `context`, to be passed to `Llama.load`."""

sampler_options = _apply(
    click.option("--temp", "temperature", type=float, default=0.6, show_default=True, help="0 takes the best token."),
    click.option("--top-k", type=int, default=0, show_default=True, help="Keep the best N tokens; 0 keeps all."),
    click.option("--top-p", type=float, default=0.9, show_default=True, help="Keep the best with this probability."),
    click.option("--min-p", type=float, default=0.0, show_default=True, help="Keep those this near to the best."),
    click.option("--repeat-penalty", type=float, default=1.0, show_default=True, help="Makes recent tokens unlikely."),
    click.option("--repeat-last-n", type=int, default=64, show_default=True, help="How many tokens are recent."),
    click.option("-s", "--seed", type=int, metavar="N", help="Same seed, same text; by default random."),
)
"""How tokens are chosen: the fields of `SamplerOptions`."""
