"""Options that several commands share, spelled as people know them from llama.cpp."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..foreign import read_whole
from ..store.network import OFFLINE

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

DEFAULT_MODEL = "smollm2"

_MAX_BYTES = 1 << 24
"""Of a chat template or a schema."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _apply(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _read_file(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return read_whole(path, max_bytes=_MAX_BYTES, regular=False).decode()
    except UnicodeDecodeError:
        raise click.BadParameter(f"{path}: not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _read_schema(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Return a schema that is given as it is, or in a file."""
    if text is None or text.lstrip().startswith("{"):
        return text
    return _read_file(context, parameter, Path(text))


def _read_biases(
    _context: click.Context, _parameter: click.Parameter, biases: tuple[str, ...]
) -> dict[int | str, float]:
    """Parse TOKEN=BIAS, in which TOKEN is an id if it consists of digits."""
    result: dict[int | str, float] = {}
    for text in biases:
        token, _, bias = text.rpartition("=")
        try:
            result[int(token) if token.isdecimal() else token] = float(bias)
        except ValueError:
            token = ""
        if not token:
            raise click.BadParameter(f"{text!r} is not TOKEN=BIAS, such as 42=-100 or ' the'=1.5")
    return result


_FILE = click.Path(path_type=Path)


class ModelType(click.types.StringParamType):
    """A reference to a model, for which shells complete names and files."""

    name = "model"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return names that begin so, or else files."""
        from click.shell_completion import CompletionItem

        from ..store.aliases import names

        known = [CompletionItem(name) for name in names() if name.startswith(incomplete.lower())]
        return known or [CompletionItem(incomplete, type="file")]


MODEL = ModelType()


def _forbid_downloads(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        os.environ[OFFLINE] = "1"  # also for the libraries and processes that would download


offline_option = click.option(
    "--offline", is_flag=True, expose_value=False, callback=_forbid_downloads, help="Download nothing."
)
model_option = _apply(
    click.option(
        "-m",
        "--model",
        type=MODEL,
        default=DEFAULT_MODEL,
        show_default=True,
        metavar="MODEL",
        help="A file or directory, an alias, hf:org/repo[:file] or a URL.",
    ),
    offline_option,
)

exact_option = click.option(
    "--exact", "precision", flag_value="exact", help="Compute in float32: slower, and hardly another answer."
)
fast_option = click.option(
    "--fast", "precision", flag_value="fast", help="Multiply 8-bit integers: faster, and some other answers."
)
precision_options = _apply(
    click.option("--default", "precision", flag_value="default", default=True, hidden=True), exact_option, fast_option
)
"""`precision`, see `Llama.load`."""


def _read_adapters(
    _context: click.Context, _parameter: click.Parameter, adapters: tuple[str, ...]
) -> list[tuple[str, float]]:
    """Parse FILE[:SCALE]; a file whose name looks so is taken as it is."""
    result = []
    for text in adapters:
        path, _, scale = text.rpartition(":")
        try:
            result.append((text, 1.0) if not path or Path(text).exists() else (path, float(scale)))
        except ValueError:
            result.append((text, 1.0))
    return result


engine_options = _apply(
    click.option("--backend", metavar="NAME", help="c, wasm or python; by default the fastest there is."),
    click.option("-t", "--threads", type=int, metavar="N", help="Threads; by default one per physical core."),
    precision_options,
    click.option("-c", "--context", type=int, metavar="N", help="Tokens of context; by default 4096 or the model's."),
    click.option(
        "--cache-type",
        type=click.Choice(["f32", "f16", "int8"]),
        help="What keys and values are stored as: the smaller, the less memory; by default f16, with --exact f32.",
    ),
    click.option(
        "--lora",
        multiple=True,
        callback=_read_adapters,
        metavar="FILE[:SCALE]",
        help="Merge a LoRA adapter into the weights: a GGUF file or a PEFT directory. Can be repeated.",
    ),
)
"""How a model is loaded, see `pop_engine_options`."""


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that have a value; for the others the model's own defaults hold."""
    return {name: value for name, value in options.items() if value is not None}


def pop_engine_options(options: dict[str, Any]) -> dict[str, Any]:
    """Take what `engine_options` has added out of the options of a command, to be passed to `Llama.load`."""
    names = ("backend", "threads", "precision", "context", "cache_type", "lora")
    return {name: options.pop(name) for name in names}


chat_template_option = click.option(
    "--chat-template",
    type=_FILE,
    callback=_read_file,
    metavar="FILE",
    help="Use this Jinja template instead of the model's.",
)
"""`chat_template`, to be passed to `Llama.load`."""

NO_LIMIT = -1
"""For -n: until the model stops or the context is full."""


def _check_max_tokens(_context: click.Context, _parameter: click.Parameter, value: int | None) -> int | None:
    if value is not None and value != NO_LIMIT and value < 1:
        raise click.BadParameter(f"{value}; allowed: 1 or more, or {NO_LIMIT} for no limit")
    return value


def max_tokens_option(default: str) -> Callable[[_Command], _Command]:
    """Return the option -n; `default` says what happens without it."""
    return click.option(
        "-n",
        "--max-tokens",
        type=int,
        callback=_check_max_tokens,
        metavar="N",
        help=f"Tokens to generate at most, {NO_LIMIT} for no limit; by default {default}.",
    )


sampler_options = _apply(
    click.option(
        "--temperature", "--temp", type=float, help="0 takes the best token; by default the model's (see show), or 0.6."
    ),
    click.option("--top-k", type=int, help="Keep the best N tokens; by default the model's, or 0, which keeps all."),
    click.option("--top-p", type=float, help="Keep the best with this probability; by default the model's, or 0.9."),
    click.option("--min-p", type=float, help="Keep those this near to the best; by default the model's, or 0."),
    click.option(
        "--repeat-penalty", type=float, help="Makes recent tokens unlikely; by default the model's, or 1: it does not."
    ),
    click.option("--repeat-last-n", type=int, help="How many tokens are recent; by default the model's, or 64."),
    click.option(
        "--repeat-prompt/--no-repeat-prompt",
        default=None,
        help="Whether the prompt is recent; by default the model's, or it is.",
    ),
    click.option("--presence-penalty", type=float, help="Makes tokens unlikely that came before; by default 0."),
    click.option("--frequency-penalty", type=float, help="The same, for each time they came; by default 0."),
    click.option(
        "--logit-bias",
        multiple=True,
        callback=_read_biases,
        metavar="TOKEN=BIAS",
        help="Add to the logit of a token, an id or a text; -inf forbids it. Can be repeated.",
    ),
    click.option("-s", "--seed", type=int, metavar="N", help="Same seed, same text; by default random."),
)
"""How tokens are chosen: the fields of `SamplerOptions`."""

text_options = _apply(
    click.option("--stop", multiple=True, metavar="TEXT", help="End the answer before this text. Can be repeated."),
    click.option("--allow-loops", is_flag=True, help="Go on when the answer does nothing but repeat itself."),
    click.option("--json", "as_json", is_flag=True, help="Answer with a JSON object."),
    click.option(
        "--json-schema", callback=_read_schema, metavar="FILE|JSON", help="Answer with JSON that fits this schema."
    ),
    click.option("--regex", metavar="PATTERN", help="Answer with a text that matches."),
    click.option("--lookup", type=int, default=0, metavar="N", help="Guess N tokens at a time from what repeats."),
    click.option("--draft", type=MODEL, metavar="MODEL", help="Guess tokens with a smaller model of this vocabulary."),
    click.option("--draft-tokens", type=int, default=4, show_default=True, metavar="N", help="How many at a time."),
)
"""What a text may be and how it is found, for `generating.generate_options`."""
