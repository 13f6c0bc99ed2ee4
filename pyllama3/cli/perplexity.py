"""`pyllama3 perplexity`: how well a model predicts a text."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from ..config import Precision
from .options import model_option, precision_options
from .output import say


@click.command("perplexity", short_help="Measure how well a model predicts a text.")
@model_option
@click.option("-f", "--file", "path", required=True, type=click.Path(path_type=Path), help="The text, in UTF-8.")
@click.option("-c", "--context", type=int, default=512, show_default=True, metavar="N", help="Tokens of a window.")
@click.option(
    "--stride", type=int, metavar="N", help="Windows N tokens apart, of which the last N tokens are predicted."
)
@click.option("--kl-from", metavar="MODEL", help="Also the divergence from the exact predictions of this model.")
@click.option("--kl-backend", metavar="NAME", help="Also that from another backend, or from reference.")
@click.option("--backend", metavar="NAME", help="c, wasm, python or reference; by default the fastest.")
@click.option("-t", "--threads", type=int, metavar="N", help="Threads; by default one per physical core.")
@precision_options
def command(
    model: str,
    path: Path,
    context: int,
    stride: int | None,
    kl_from: str | None,
    kl_backend: str | None,
    backend: str | None,
    threads: int | None,
    precision: Precision,
) -> None:
    """Print the perplexity of a text.

    It is counted as llama.cpp does: the text is cut into windows, each begins with a BOS if the model has one, and the
    second half of each is predicted.
    """
    from ..analysis.perplexity import Windows, measure
    from .predictors import load_predictor

    windows = Windows.of(context, stride)
    text = _read(path)
    with ExitStack() as stack:
        measured = load_predictor(stack, model, backend=backend, threads=threads, precision=precision, context=context)
        other = None
        if kl_from is not None or kl_backend is not None:
            other = load_predictor(
                stack,
                kl_from or model,
                backend=kl_backend or backend,
                threads=threads,
                precision="exact",
                context=context,
            )
            if not measured.tokenizer.has_tokens_of(other.tokenizer):
                raise click.UsageError(f"{kl_from} has another vocabulary than {model}.")
        tokenizer = measured.tokenizer
        ids = tokenizer.encode_prompt(text, special=False)
        count = windows.count(len(ids))
        moving = sys.stderr.isatty()
        start = "\r" if moving else ""
        for score in measure(
            measured.predict,
            ids,
            windows,
            bos=tokenizer.bos_id if tokenizer.add_bos else None,
            other=other.predict if other else None,
        ):
            say(
                f"{start}window {score.windows} of {count}: perplexity {score.perplexity:.4f}",
                err=True,
                nl=not moving,
            )
        if moving:
            say(err=True)
    say(
        f"perplexity {score.perplexity:.4f} +/- {score.perplexity * score.error:.4f}, nll {score.nll:.5f}, "
        f"{score.tokens} tokens predicted in {score.windows} windows of {context}"
    )
    if score.kl is not None:
        say(
            f"KL divergence {score.kl:.4g} nats, at most {score.max_kl:.4g}; "
            f"the same most probable token for {score.same_top:.1%}"
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{path}: not UTF-8 text: byte {error.start}") from None
