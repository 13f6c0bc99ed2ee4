"""`pyllama3 batch`: answer the requests of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import chat_template_option, engine_options, given, model_option, pop_engine_options, sampler_options
from .output import say


@click.command("batch", short_help="Answer the requests of a file.")
@model_option
@click.argument("source", metavar="IN.jsonl", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT.jsonl", type=click.Path(path_type=Path))
@click.option("--parallel", type=click.IntRange(1, 128), default=8, show_default=True, help="Requests at a time.")
@chat_template_option
@engine_options
@sampler_options
@click.option("-q", "--quiet", is_flag=True, help="Show no progress and no counts.")
def command(
    model: str,
    source: Path,
    target: Path,
    parallel: int,
    chat_template: str | None,
    quiet: bool,
    **sampling: Any,
) -> None:
    """Answer the requests of IN.jsonl, in the form of OpenAI's batch files, several at a time.

    Answers are added to OUT.jsonl as they are ready. After an interruption the same command goes on where it was.
    The exit code is 1 when requests were refused.
    Sampler options are for requests that say nothing else.

    An answer is that of a single run with the same seed, whatever it is computed together with.
    """
    from ..server.batch import BatchCounts, run_batch
    from .loading import load_model
    from .progress import progress_bar

    if not source.exists():
        raise click.ClickException(f"{source}: no such file")
    with (
        load_model(model, chat_template=chat_template, **pop_engine_options(sampling)) as llm,
        progress_bar(f"answering {source}", show_pos=True) as draw,
    ):

        def show(counts: BatchCounts) -> None:
            if not quiet:
                draw(counts.done, counts.total)

        counts = run_batch(llm, source, target, parallel=parallel, defaults=given(sampling), progress=show)
    if not quiet:
        say(
            f"{counts.total} requests: {counts.answered} answered, {counts.failed} refused, "
            f"{counts.skipped} were done before",
            err=True,
        )
    if counts.failed:
        raise click.exceptions.Exit(1)
