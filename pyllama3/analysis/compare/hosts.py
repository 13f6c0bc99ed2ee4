"""The engine in other languages: programs that `invoke build --targets` has made, run as processes."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...backends import engine_dir, load_engine
from ...errors import BackendError
from ...foreign import printable
from ...weights import Weights
from ..metrics import Array
from .flat import write_flat
from .subjects import ATTENTION, EMBEDDING, FEED_FORWARD, HEAD, Stage, Trace
from .tolerances import EXACT


def built_hosts() -> dict[str, Path]:
    """Return the folders of the programs that have been built, by language."""
    return {path.parent.name: path.parent for path in sorted((engine_dir() / "hosts").glob("*/manifest.json"))}


class HostSubject:
    """A program in another language, which computes in single precision."""

    tolerance = EXACT

    def __init__(self, label: str, weights: Weights, folder: Path) -> None:
        self.label = label
        self.weights = weights
        self._folder = folder
        self._command: list[str] = json.loads((folder / "manifest.json").read_text("utf-8"))["run"]

    def run(self, ids: Sequence[int]) -> Trace:
        """Run tokens from position 0 on and return what each stage leaves; the time begins after the embedding.

        Raises:
            BackendError: the program cannot be started, or fails.
        """
        config = self.weights.config
        widths = {EMBEDDING: config.dim}
        for layer in range(config.layers):
            widths |= {Stage(ATTENTION, layer): config.dim, Stage(FEED_FORWARD, layer): config.dim}
        widths[HEAD] = config.vocab_size
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder, "model.flat")
            with model.open("wb") as file:
                write_flat(file, self.weights, load_engine().TensorId)
            result, seconds = self._run(model, ids, 4 * config.dim * len(ids))
        rows = np.frombuffer(result, "<f4")
        if len(rows) != len(ids) * sum(widths.values()):
            raise BackendError(f"{self.label} gives {len(rows)} numbers; needed: {len(ids) * sum(widths.values())}")
        stages: dict[Stage, Array] = {}
        at = 0
        for stage, width in widths.items():
            stages[stage] = rows[at : at + len(ids) * width].reshape(len(ids), width)
            at += len(ids) * width
        return Trace(stages, seconds)

    def _run(self, model: Path, ids: Sequence[int], first: int) -> tuple[bytes, float]:
        """Return what the program writes, and the seconds that this takes after so many bytes."""
        command = [*self._command, str(model), *map(str, ids)]
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
                )
            except OSError as error:
                raise BackendError(f"{self.label} cannot be started: {error}") from error
            with process:
                assert process.stdout
                embeddings = process.stdout.read(first)
                started = time.perf_counter()
                others = process.stdout.read()
                seconds = time.perf_counter() - started
            if process.returncode:
                errors.seek(0)
                lines = errors.read().decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
                raise BackendError(f"{self.label} fails with exit code {process.returncode}: {printable(lines[0])}")
        return embeddings + others, seconds
