"""`pyllama3 convert`: write any readable model as a GGUF file."""

from __future__ import annotations

from pathlib import Path

import click

from ..weights.convert.mixtures import MIXTURES
from .options import MODEL, offline_option
from .output import say


@click.command("convert", short_help="Write a model as a GGUF file, smaller if wanted.")
@click.argument("source", type=MODEL, metavar="SRC")
@click.argument("target", metavar="DST.gguf", type=click.Path(path_type=Path))
@click.option(
    "--type",
    "type_name",
    type=click.Choice(list(MIXTURES), case_sensitive=False),
    default="Q8_0",
    show_default=True,
    metavar="TYPE",
    help=f"One of {', '.join(MIXTURES)}.",
)
@click.option("--verify", is_flag=True, help="Read the file again and report the error of each tensor.")
@click.option("--force", is_flag=True, help="Replace DST if it exists.")
@offline_option
def command(source: str, target: Path, type_name: str, verify: bool, force: bool) -> None:
    """Write the model SRC (a file, a directory, an alias, hf:org/repo[:file] or a URL) to DST.gguf.

    The types are llama.cpp's: Q4_K_M, for example, keeps most matrices in Q4_K and the important ones in Q6_K.
    """
    from ..errors import WeightsError
    from ..store.find import find_model
    from ..weights import load_weights
    from ..weights.convert.convert import compare, convert, count_fallbacks
    from .progress import download_progress, progress_bar

    if target.is_file() and not force:
        raise WeightsError(f"{target}: exists already; --force replaces it")
    with download_progress(source) as progress:
        path = find_model(source, progress=progress)
    weights = load_weights(path)
    stored = sorted({tensor.type.name for tensor in weights.tensors.values() if tensor.type.block_size > 1})
    if stored:
        say(f"pyllama3: {path} is quantized already ({', '.join(stored)}): what it lost stays lost", err=True)
    for (wanted, type, columns), count in count_fallbacks(weights, MIXTURES[type_name]).items():
        say(
            f"{count} tensors become {type.name} instead of {wanted.name}: "
            f"rows of {columns} are no multiple of {wanted.block_size}",
            err=True,
        )
    with progress_bar(f"writing {target}") as draw:
        size = convert(weights, target, MIXTURES[type_name], draw)
    say(f"{size / 1e6:.1f} MB, {8 * size / weights.parameters:.2f} bits per weight", err=True)
    source_size = sum(tensor.nbytes for tensor in weights.tensors.values())
    if size > source_size:
        say(f"pyllama3: that is larger than the source, whose tensors have {source_size / 1e6:.1f} MB", err=True)
    if verify:
        say(f"{'tensor':28} {'type':6} {'relative error':>14} {'largest error':>14}")
        for error in compare(weights, target):
            say(f"{error.name:28} {error.type.name:6} {error.relative:14.6f} {error.largest:14.6f}")
