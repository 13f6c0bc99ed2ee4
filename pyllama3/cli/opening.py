"""A model for a command: in this process, or spread over a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from .output import say

if TYPE_CHECKING:
    from ..model import Llama


def pipeline_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `ray` and `pipeline`, for `open_model`."""
    command = click.option(
        "--pipeline",
        type=click.IntRange(min=1),
        metavar="N",
        help="Spread the layers of the model over N machines, or processes, of a Ray cluster.",
    )(command)
    return click.option(
        "--ray",
        metavar="ADDRESS",
        help="A Ray cluster: auto (that of this machine), ray://HOST:PORT, or local, which begins one here.",
    )(command)


@contextmanager
def open_model(
    model: str, *, ray: str | None, pipeline: int | None, parallel: int = 1, **options: Any
) -> Iterator[Llama]:
    """Load a model, in a pipeline of several parts if that is asked for.

    Raises:
        PyLlama3Error: see `Llama.load` and `load_pipeline`.
    """
    if pipeline is None:
        from .loading import load_model

        if ray is not None:
            raise click.UsageError("--ray needs --pipeline N, or the command batch.")
        with load_model(model, **options) as llm:
            yield llm
        return
    from ..cluster.connection import AUTO, connect
    from ..cluster.orders import make_order
    from ..cluster.pipeline import load_pipeline
    from .progress import download_progress
    from .waiting import waiting

    address = ray or AUTO
    with ExitStack() as stack:
        with waiting(f"connecting to Ray ({address})"):
            module, share = stack.enter_context(connect(address, actors=pipeline, threads=options["threads"]))
        order = make_order(model, parallel=parallel, defaults={}, options={**options, "threads": share.threads})
        with download_progress(model) as progress:
            llm = load_pipeline(
                module,
                order,
                pipeline,
                processors=share.processors,
                progress=progress,
                say=lambda text: say(f"pyllama3: {text}", err=True),
            )
        yield stack.enter_context(llm)
