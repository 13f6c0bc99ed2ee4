"""Simulate clusters: tokens per second of 1 to 64 machines, by what this machine takes for a pass and what links take.

No cluster is needed. A pass over `rows` rows takes `weights * (a + b * rows)` seconds, where a and b are measured here
with a small model. `batch --ray` has a model on each machine. `--pipeline` has its layers spread: pieces of a pass
follow each other through the machines, and each hop costs a call and the residual stream, rows x dim x 4 bytes.

    python benchmarks/scale.py
    python benchmarks/scale.py --link 10 --latency 0.05 --memory 64
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pyllama3 import Llama  # noqa: E402
from pyllama3.analysis.bench.machine import processor_title  # noqa: E402

MACHINES = (1, 2, 4, 8, 16, 32, 64)
BYTES_PER_WEIGHT = 0.58
"""Of Q4_K_M files."""


@dataclass(frozen=True)
class Shape:
    """What matters of a model; numbers of Meta's config files."""

    weights: float
    dim: int
    layers: int


SHAPES = {
    "1B": Shape(1.24e9, 2048, 16),
    "8B": Shape(8.03e9, 4096, 32),
    "70B": Shape(70.6e9, 8192, 80),
    "405B": Shape(405.9e9, 16384, 126),
}


@dataclass(frozen=True)
class Cluster:
    """Machines of one kind, and what is between them."""

    fixed: float
    """Seconds of a pass for each weight."""
    per_row: float
    """More seconds for each row and weight."""
    link: float
    """Bytes per second."""
    latency: float
    """Seconds that a message takes beside its bytes, of the link and of Ray."""
    memory: float
    """Bytes of a machine."""

    def pass_seconds(self, weights: float, rows: float) -> float:
        """Return how long a machine takes for a pass over so many weights."""
        return weights * (self.fixed + self.per_row * rows)

    def fits(self, shape: Shape, machines: int) -> bool:
        """Tell whether the weights fit into the memory of so many machines."""
        return shape.weights * BYTES_PER_WEIGHT <= self.memory * machines

    def batch(self, shape: Shape, machines: int, texts: int) -> float | None:
        """Return the tokens per second of a whole model on each machine; None if it does not fit."""
        if not self.fits(shape, 1):
            return None
        return machines * texts / self.pass_seconds(shape.weights, texts)

    def pipeline(self, shape: Shape, machines: int, texts: int) -> float | None:
        """Return the tokens per second of one model over all machines; None if it does not fit, or has fewer layers."""
        if machines > shape.layers or not self.fits(shape, machines):
            return None
        pieces = min(texts, machines)
        rows = texts / pieces
        stage = self.pass_seconds(shape.weights / machines, rows)
        hop = self.latency + rows * shape.dim * 4 / self.link
        return texts / (machines * (stage + hop) + (pieces - 1) * max(stage, hop))


def measure(model: str, rounds: int) -> tuple[float, float]:
    """Return the seconds of a pass for each weight, and for each weight and row, on this machine."""
    counts = (1, 2, 4, 8, 16, 32, 64)
    with Llama.load(model) as llm, llm.session() as session:
        weights = llm._weights.parameters
        taken: dict[int, list[float]] = {count: [] for count in counts}
        for _ in range(rounds):
            for count in counts:
                session.rewind(0)
                started = time.perf_counter()
                session.feed([1] * count, all_logits=True)
                taken[count].append(time.perf_counter() - started)
    seconds = [statistics.median(taken[count]) for count in counts]
    # in relative terms, as large passes would decide alone otherwise
    columns = np.array([[1, count] for count in counts]) / np.array(seconds)[:, None]
    fixed, per_row = np.linalg.lstsq(columns, np.ones(len(counts)), rcond=None)[0]
    return max(0.0, float(fixed)) / weights, float(per_row) / weights


def shown(speed: float | None) -> str:
    """Return a speed for the table."""
    return "-" if speed is None else f"{speed:.3g}"


@click.command()
@click.option("-m", "--model", default="smollm2", show_default=True, help="What is measured.")
@click.option("-r", "--rounds", default=9, show_default=True)
@click.option("--link", default=1.0, show_default=True, help="Gbit/s between machines.")
@click.option("--latency", default=0.2, show_default=True, help="Milliseconds of a message on the link.")
@click.option("--call", default=1.6, show_default=True, help="Milliseconds that Ray takes for a call.")
@click.option("--memory", default=16.0, show_default=True, help="GB of each machine.")
@click.option("--texts", default=8, show_default=True, help="At a time on each machine.")
def main(model: str, rounds: int, link: float, latency: float, call: float, memory: float, texts: int) -> None:
    """Print tables in Markdown."""
    fixed, per_row = measure(model, rounds)
    cluster = Cluster(fixed, per_row, link * 1e9 / 8, (latency + call) / 1e3, memory * 1e9)
    print(f"{processor_title()}: {1e12 * fixed:.3g} ps per weight and pass, {1e12 * per_row:.3g} ps per weight and row")
    print(f"{link:g} Gbit/s, {latency:g} ms, {call:g} ms per call, {memory:g} GB\n")
    print("| model | how | " + " | ".join(f"{count}" for count in MACHINES) + " |")
    print("|---|---|" + "---:|" * len(MACHINES))
    for name, shape in SHAPES.items():
        rows = {
            f"batch, {texts} texts per machine": [cluster.batch(shape, count, texts) for count in MACHINES],
            "pipeline, 1 text": [cluster.pipeline(shape, count, 1) for count in MACHINES],
            f"pipeline, {texts} texts": [cluster.pipeline(shape, count, texts) for count in MACHINES],
            f"pipeline, {texts} texts per machine": [
                cluster.pipeline(shape, count, texts * count) for count in MACHINES
            ],
        }
        for how, speeds in rows.items():
            print(f"| {name} | {how} | " + " | ".join(map(shown, speeds)) + " |")


if __name__ == "__main__":
    main()
