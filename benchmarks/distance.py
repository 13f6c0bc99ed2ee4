"""Measure how far each precision and llama.cpp are from float32: logits after each token of a text, on one model.

Float32 is the precision "exact", which the tests hold against the numpy reference and transformers. Logits are compared
after batches (as a prompt is read) and after single tokens (as text is generated).

    python benchmarks/distance.py --peer-python /path/to/a/python/that/has/llama-cpp-python
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from versus_llama_cpp import WORKERS, find_peer_python  # noqa: E402

from pyllama3 import Llama  # noqa: E402
from pyllama3.config import Precision  # noqa: E402
from pyllama3.store.find import find_model  # noqa: E402

Logits = NDArray[np.float32]


def peer_logits(python: str, model: Path, ids: list[int], step: int) -> Logits:
    """Return llama.cpp's logits (len(ids), vocab_size), with `step` tokens evaluated at a time."""
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory, "logits.npy")
        request = {"model": str(model), "ids": ids, "step": step, "output": str(output)}
        subprocess.run([python, str(WORKERS / "llama_cpp_logits.py")], input=json.dumps(request), text=True, check=True)
        return np.load(output)  # type: ignore[no-any-return]


def our_logits(model: Path, ids: list[int], step: int, precision: Precision) -> Logits:
    """Return our logits likewise."""
    with Llama.load(model, backend="c", precision=precision) as llm, llm.session() as session:
        return np.concatenate([session.feed(ids[at : at + step], all_logits=True) for at in range(0, len(ids), step)])


def log_softmax(logits: Logits) -> NDArray[np.float64]:
    """Return log probabilities."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def distances(logits: Logits, truth: Logits) -> tuple[float, float, float]:
    """Return the rms error of the ten best logits, the mean KL divergence, and how often the best token is the same."""
    best = np.argsort(-truth, axis=1)[:, :10]
    error = np.take_along_axis(logits - truth, best, axis=1)
    p, q = log_softmax(truth), log_softmax(logits)
    return (
        float(np.sqrt(np.mean(error**2))),
        float(np.mean(np.sum(np.exp(p) * (p - q), axis=1))),
        float(np.mean(logits.argmax(axis=1) == truth.argmax(axis=1))),
    )


@click.command(help=__doc__)
@click.option("-m", "--model", default="smollm2", show_default=True)
@click.option("-f", "--file", type=click.Path(exists=True, dir_okay=False), default=str(ROOT / "tests/data/prose.txt"))
@click.option("-n", "--tokens", default=400, show_default=True, help="Tokens of the text.")
@click.option("--peer-python", help="A Python that has llama-cpp-python; by default this one.")
def main(model: str, file: str, tokens: int, peer_python: str | None) -> None:
    """Print a markdown table."""
    python = find_peer_python(peer_python)
    path = find_model(model)
    with Llama.load(path, backend="c") as llm:
        ids = llm.tokenizer.encode(Path(file).read_text(encoding="utf-8"))[:tokens]
    truth = our_logits(path, ids, len(ids), "exact")
    click.echo(f"{path.name}, {len(ids)} tokens of {Path(file).name}; truth: float32\n")
    click.echo("| logits | top-10 rms error | KL divergence | same best token |\n|---|---|---|---|")
    for name, step in (("a batch", len(ids)), ("single tokens", 1)):
        for who, logits in (
            ("pyllama3", our_logits(path, ids, step, "default")),
            ("pyllama3 --fast", our_logits(path, ids, step, "fast")),
            ("llama.cpp", peer_logits(python, path, ids, step)),
        ):
            rms, divergence, same = distances(logits, truth)
            click.echo(f"| {who}, {name} | {rms:.4f} | {divergence:.1e} | {same:.1%} |")


if __name__ == "__main__":
    main()
