"""`pyllama3 bench`: how fast models run here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config import Precision
from ..cpu import MAX_THREADS
from .options import DEFAULT_MODEL, MODEL, offline_option, precision_options
from .output import say

if TYPE_CHECKING:
    from ..weights import Weights


def _numbers(least: int, most: int | None) -> Callable[[str], list[int]]:
    """Return what reads whole numbers that are separated by commas."""

    def read(text: str) -> list[int]:
        try:
            numbers = [int(part) for part in text.split(",")]
        except ValueError:
            raise click.BadParameter(f"'{text}' is not a list of whole numbers such as 1,2") from None
        if min(numbers) < least or max(numbers) > (most or max(numbers)):
            raise click.BadParameter(f"'{text}': allowed: {least} {f'to {most}' if most else 'or more'}")
        return numbers

    return read


def _numbers_option(*names: str, least: int = 0, most: int | None = None, **options: Any) -> Callable[[Any], Any]:
    return click.option(*names, type=_numbers(least, most), metavar="N,N,...", **options)


@click.command("bench", short_help="Measure the speed.")
@click.option("-m", "--model", "models", multiple=True, type=MODEL, metavar="MODEL", help="As for run; repeatable.")
@click.option("--synthetic", "shapes", multiple=True, metavar="SHAPE", help="A shape with random weights, see above.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Of random weights; by default Q4_0.")
@_numbers_option("-p", "--prompt", default="512", show_default=True, help="Tokens to read; 0 for none.")
@_numbers_option("-n", "--generate", default="128", show_default=True, help="Tokens to generate; 0 for none.")
@_numbers_option("--depth", default="0", show_default=True, help="Tokens in front of them.")
@click.option("-r", "--repetitions", type=click.IntRange(1), default=5, show_default=True, help="Runs of each test.")
@_numbers_option("-t", "--threads", least=1, most=MAX_THREADS, help="Threads; by default one per physical core.")
@click.option("--backend", metavar="NAME", help="c, wasm or python; by default the fastest that was built.")
@precision_options
@click.option("-o", "--output", type=click.Choice(["md", "json", "csv"]), default="md", show_default=True)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw an svg or png, too."
)
@offline_option
def command(
    models: tuple[str, ...],
    shapes: tuple[str, ...],
    types: tuple[str, ...],
    prompt: list[int],
    generate: list[int],
    depth: list[int],
    repetitions: int,
    threads: list[int] | None,
    backend: str | None,
    precision: Precision,
    output: str,
    plot: Path | None,
) -> None:
    """Measure how fast models read prompts (pp) and generate (tg), in tokens per second, and how much memory they need.

    The tests are those of llama.cpp's llama-bench: pp512 reads a prompt of 512 random tokens, tg128 generates 128
    without sampling, "@ d4096" means behind 4096 other tokens. "tg128 sampled" is what users see: a text of 128 tokens,
    sampled with the default options. Lists of numbers make all combinations. The table shows mean and standard
    deviation; a first run, which warms up, does not count.

    Random weights need no download: smollm2-135m, llama3.2-1b, llama3.2-3b, llama3.1-8b, llama3.1-70b.
    """
    from ..analysis.bench import tables
    from ..analysis.bench.machine import describe_machine, processor_title
    from ..analysis.bench.measure import make_tests, measure
    from ..analysis.bench.plot import check_plot, draw

    tests = make_tests(prompt, generate, depth)
    if not tests:
        raise click.UsageError("Nothing to measure: both -p and -n are 0.")
    if plot is not None:
        check_plot(plot)
    results = []
    for load in _loaders(models, shapes, types):
        results += measure(
            load, tests, backend=backend, precision=precision, threads=threads, repetitions=repetitions, report=_report
        )
    if output == "md":
        say(tables.markdown(results))
    elif output == "csv":
        say(tables.as_csv(results))
    else:
        say(tables.as_json(results, describe_machine()))
    if plot is not None:
        draw(results, plot, processor_title())


def _loaders(models: Sequence[str], shapes: Sequence[str], types: Sequence[str]) -> Iterator[Callable[[], Weights]]:
    """Yield what loads each model, so that only one of them is in memory."""
    if types and not shapes:
        raise click.UsageError("--type is for --synthetic; a model file has its types.")
    for model in models if models or shapes else [DEFAULT_MODEL]:
        yield partial(_load, model)
    for shape in shapes:
        for type in types or ["Q4_0"]:
            yield partial(_synthesize, shape, type)


def _load(model: str) -> Weights:
    from ..store.find import find_model
    from ..weights import load_weights
    from .progress import download_progress

    with download_progress(model) as progress:
        path = find_model(model, progress=progress)
    return load_weights(path)


def _synthesize(shape: str, type: str) -> Weights:
    from ..analysis.bench.synthetic import synthetic_weights

    _report(f"{shape} {type}: random weights")
    return synthetic_weights(shape, type)


def _report(text: str) -> None:
    say(text, err=True)
