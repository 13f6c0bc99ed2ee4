"""`pyllama3 batch`: answer the requests of a file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .opening import open_model, pipeline_options
from .options import chat_template_option, engine_options, given, model_option, pop_engine_options, sampler_options
from .output import say

if TYPE_CHECKING:
    from ..model import Llama
    from ..server.answerer import Answerer


@click.command("batch", short_help="Answer the requests of a file.")
@model_option
@click.argument("source", metavar="IN.jsonl", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT.jsonl", type=click.Path(path_type=Path))
@click.option("--parallel", type=click.IntRange(1, 128), default=8, show_default=True, help="Requests at a time.")
@pipeline_options
@click.option(
    "--actors", type=click.IntRange(min=1), metavar="N", help="Models in the cluster; by default one per machine."
)
@chat_template_option
@engine_options
@sampler_options
@click.option("-q", "--quiet", is_flag=True, help="Show no progress and no counts.")
def command(
    model: str,
    source: Path,
    target: Path,
    parallel: int,
    ray: str | None,
    pipeline: int | None,
    actors: int | None,
    chat_template: str | None,
    quiet: bool,
    **sampling: Any,
) -> None:
    """Answer the requests of IN.jsonl, in the form of OpenAI's batch files, several at a time.

    Answers are added to OUT.jsonl as they are ready. After an interruption the same command goes on where it was.
    The exit code is 1 when requests were refused.
    Sampler options are for requests that say nothing else.

    An answer is that of a single run with the same seed, whatever it is computed together with. With --ray there
    are several models, each with --parallel requests at a time and -t threads; those that die are replaced. With
    --pipeline one model is spread over several machines.
    """
    from ..server.batch import BatchCounts, answer_file
    from .progress import progress_bar

    if not source.exists():
        raise click.ClickException(f"{source}: no such file")
    if actors is not None and ray is None:
        raise click.UsageError("--actors is for clusters: it needs --ray.")
    if actors is not None and pipeline is not None:
        raise click.UsageError("--actors and --pipeline exclude each other: several models, or one in parts.")
    options = {"chat_template": chat_template, **pop_engine_options(sampling)}
    with ExitStack() as stack:
        if ray is None or pipeline is not None:
            llm = stack.enter_context(open_model(model, ray=ray, pipeline=pipeline, parallel=parallel, **options))
            answerer = _one(llm, parallel, given(sampling))
        else:
            answerer = _several(stack, model, options, parallel, given(sampling), ray, actors)
        draw = stack.enter_context(progress_bar(f"answering {source}", show_pos=True))

        def show(counts: BatchCounts) -> None:
            if not quiet:
                draw(counts.done, counts.total)

        counts = answer_file(answerer, source, target, progress=show)
    if not quiet:
        say(
            f"{counts.total} requests: {counts.answered} answered, {counts.failed} refused, "
            f"{counts.skipped} were done before",
            err=True,
        )
    if counts.failed:
        raise click.exceptions.Exit(1)


def _one(llm: Llama, parallel: int, defaults: dict[str, Any]) -> Answerer:
    """Return one model, whether it is in this process or spread over others."""
    from ..server.answerer import LocalAnswerer

    return LocalAnswerer(llm, parallel=parallel, defaults=defaults)


def _several(
    stack: ExitStack,
    model: str,
    options: dict[str, Any],
    parallel: int,
    defaults: dict[str, Any],
    address: str,
    actors: int | None,
) -> Answerer:
    """Return models in a cluster."""
    from ..cluster.connection import connect
    from ..cluster.orders import make_order
    from ..cluster.pool import Pool
    from .waiting import waiting

    with waiting(f"connecting to Ray ({address})"):
        module, share = stack.enter_context(connect(address, actors=actors, threads=options["threads"]))
    options["threads"] = share.threads
    order = make_order(model, parallel=parallel, defaults=defaults, options=options)
    return Pool(module, share, order, say=lambda text: say(f"pyllama3: {text}", err=True))
