"""`pyllama3 compare`: prove that backends, builds and models agree, or find where they do not."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..config import PRECISIONS, Precision
from .options import DEFAULT_MODEL, MODEL, offline_option
from .output import say

DEFAULT_PROMPT = "The capital of France is"


@click.command("compare", short_help="Compare backends, builds or models, stage by stage.")
@click.argument("prompt", required=False)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    type=MODEL,
    metavar="MODEL",
    help=f"A file, an alias, hf:org/repo[:file] or a URL; given twice, both are compared.  [default: {DEFAULT_MODEL}]",
)
@click.option(
    "--backends",
    metavar="NAMES",
    help="Such as c,python,reference; by default the reference and all that are quick, for two models the fastest.",
)
@click.option("--build", "builds", multiple=True, metavar="DIR", help="Also the backends in another build folder.")
@click.option("--tokens", metavar="IDS", help="Token ids such as 1,5,9 instead of a prompt.")
@click.option("--bisect", is_flag=True, help="Look into layers and name the operation that is out of tolerance.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="exact",
    show_default=True,
    help="Compute in float32, as by default elsewhere (16-bit integers), or with 8-bit integers.",
)
@click.option("-t", "--threads", type=int, metavar="N", help="Threads; by default one per physical core.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page with heat maps.")
@offline_option
@click.pass_context
def command(
    ctx: click.Context,
    prompt: str | None,
    models: tuple[str, ...],
    backends: str | None,
    builds: tuple[str, ...],
    tokens: str | None,
    bisect: bool,
    precision: Precision,
    threads: int | None,
    as_json: bool,
    html: Path | None,
) -> None:
    """Run the tokens of PROMPT through several backends, and show how far each stage is from the first of them.

    The numpy reference, if it is among the backends, is what the others are compared with. The exit code is 1 when
    one leaves the tolerance (docs/compare.md).
    """
    if prompt is not None and tokens is not None:
        raise click.UsageError("Give a prompt or --tokens, not both.")

    from ..analysis.compare.comparison import compare
    from ..analysis.compare.loading import (
        PATIENCE,
        PYTHON,
        default_backends,
        encode,
        find_names,
        load_models,
        load_subjects,
        python_seconds,
    )
    from ..analysis.compare.report import as_table, to_json
    from ..backends import is_available
    from .progress import download_progress

    models = models or (DEFAULT_MODEL,)
    with download_progress(models[0]) as progress:
        weights = load_models(models, progress)
    ids = _parse(tokens) if tokens is not None else encode(weights[0], prompt or DEFAULT_PROMPT)
    names = backends.split(",") if backends else default_backends(weights, len(ids))
    if len(weights) == 1 and (seconds := python_seconds(weights[0], len(ids))) > PATIENCE and is_available(PYTHON):
        time = f"about {seconds:.0f} s" if seconds < 100 else f"about {seconds / 60:.0f} minutes"
        verdict = "takes" if PYTHON in names else "is left out, since it is not in --backends and would take"
        say(f"the backend python {verdict} {time}", err=True)
    subjects = load_subjects(models, weights, names, builds=builds, precision=precision, threads=threads)
    comparison = compare(
        subjects,
        ids,
        bisect=bisect,
        say=lambda line: say(line, err=True),
    )
    if html is not None:
        from ..analysis.pages.compare import write_page

        write_page(html, comparison, find_names(subjects[0].weights, ids))
    say(json.dumps(to_json(comparison), indent=1) if as_json else as_table(comparison))
    if not comparison.agrees:
        ctx.exit(1)


def _parse(tokens: str) -> list[int]:
    try:
        return [int(token) for token in tokens.split(",")]
    except ValueError:
        raise click.UsageError(f"--tokens is '{tokens}'; allowed: ids such as 1,5,9.") from None
