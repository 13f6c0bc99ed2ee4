"""A model whose layers are spread over the machines of a cluster: each has its own weights and its own caches.

A pass is cut into pieces, so that the first part works on the second piece while the second part has the first. What
goes from part to part is the residual stream: rows x dim x 4 bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..backends import load_engine
from ..cpu import choose_threads
from ..errors import ClusterError, OptionError, PyLlama3Error
from ..model import Llama
from ..model_files import read_model
from ..runtime.model import Model
from ..runtime.state import BATCH
from ..weights import Weights
from ..weights.parts import part_bytes, split_layers, take_part
from .connection import last_line
from .orders import Order, Report
from .part import Part

_CACHE_BYTES = {"f32": 4, "f16": 2, "int8": 1.25}
"""Of a number in a cache; 8-bit caches have scales beside them."""


def load_pipeline(
    ray: Any,
    order: Order,
    count: int,
    *,
    processors: int,
    progress: Any = None,
    say: Callable[[str], object] = lambda _: None,
) -> Llama:
    """Load a model in so many parts; `say` is told in a line for each what it needs, before anything is loaded.

    Raises:
        ClusterError: a machine cannot load its part, or has another version.
        PyLlama3Error: see `Llama.load`; the model has fewer layers than there should be parts.
    """
    options = dict(order.options)
    threads = choose_threads(options.pop("threads"))
    engine = load_engine(options.pop("backend"))
    computing = {name: options.pop(name) for name in ("precision", "cache_type")}
    files = read_model(order.model, progress=progress, **options)
    model = Model(engine, files.weights, threads=threads, **computing)
    parts = split_layers(files.weights, count)
    for number, layers in enumerate(parts, 1):
        say(_needs(number, files.weights, layers, model, files.context, order.parallel))
    actor = ray.remote(Part).options(num_cpus=processors, max_restarts=0, scheduling_strategy="SPREAD")
    pipeline = Pipeline(ray, model, {layers: actor.remote(order, layers) for layers in parts})
    pipeline.check()
    return Llama(
        files.weights, model, files.vocabulary, files.context, options["chat_template"], make_passes=pipeline.passes
    )


def _needs(number: int, weights: Weights, layers: range, model: Model, context: int, parallel: int) -> str:
    config = weights.config
    cache = 2 * _CACHE_BYTES[model.cache_type] * len(layers) * config.kv_dim * context * parallel
    what = f"layers {layers.start} to {layers.stop - 1}" if len(layers) > 1 else f"layer {layers.start}"
    texts = "a text" if parallel == 1 else f"{parallel} texts"
    size = part_bytes(take_part(weights, layers))
    held = f"{cache / 1e6:.0f} MB for {texts} of {context} tokens"
    return f"part {number}: {what}, {size / 1e6:.0f} MB of weights and up to {held}"


class Pipeline:
    """The actors that have the parts of a model, in order."""

    def __init__(self, ray: Any, model: Model, actors: Mapping[range, Any]) -> None:
        self.ray = ray
        self._model = model
        self.actors = actors
        self._keys = itertools.count()

    def check(self) -> None:
        """Wait for all parts.

        Raises:
            ClusterError: a machine cannot load its part, or has another version.
        """
        for report in self.gather([actor.report.remote() for actor in self.actors.values()]):
            assert isinstance(report, Report)
            if report.version != __version__:
                raise ClusterError(f"{report.machine}: pyllama3 {report.version} is there, {__version__} here")
            if report.error:
                raise ClusterError(f"{report.machine}: {report.error}")

    def gather(self, promises: list[Any]) -> list[Any]:
        """Wait for the results of calls.

        Raises:
            ClusterError: an actor has died.
            PyLlama3Error: what a call returned.
        """
        try:
            results = self.ray.get(promises)
        except self.ray.exceptions.RayError as error:
            raise ClusterError(f"a part of the pipeline has died, and with it the model: {last_line(error)}") from error
        for result in results:
            if isinstance(result, PyLlama3Error):
                raise result
        return list(results)

    def passes(self, model: Any, **sizes: Any) -> RemotePasses:
        """Allocate caches on all machines; a `MakePasses`."""
        return RemotePasses(self, model, next(self._keys), sizes)


class RemotePasses:
    """Forward passes through all parts; see `Passes`."""

    def __init__(self, pipeline: Pipeline, model: Model, key: int, sizes: dict[str, Any]) -> None:
        self.model = model
        self.context: int = sizes["context"]
        self.batch: int = sizes.setdefault("batch", BATCH)
        self.tokens, self.positions, self.sequence_ids, self.logit_rows = np.zeros((4, self.batch), np.int32)
        self._sequences: int = sizes.get("sequences", 1)
        self._pipeline = pipeline
        self._actors = list(pipeline.actors.values())
        self._key = key
        pipeline.gather([actor.open.remote(key, sizes) for actor in self._actors])

    @property
    def cache_bytes(self) -> int:
        """Memory that the caches of all parts take at most."""
        numbers = 2 * self.model.config.layers * self.model.config.kv_dim * self.context * self._sequences
        return int(_CACHE_BYTES[self.model.cache_type] * numbers)

    def forward(self, rows: int, logit_rows: int) -> NDArray[np.float32]:
        """Run a batch and return the logits (logit_rows, vocab_size).

        Raises:
            ClusterError: a part has died.
            PyLlama3Error: see `State.forward`.
        """
        pieces = min(rows, len(self._actors))
        promises = []
        for piece in range(pieces):
            cut = slice(rows * piece // pieces, rows * (piece + 1) // pieces)
            wanted = self.logit_rows[:logit_rows]
            wanted = wanted[(wanted >= cut.start) & (wanted < cut.stop)] - cut.start
            batch = self.tokens[cut], self.positions[cut], self.sequence_ids[cut], wanted
            result = None
            for actor in self._actors:
                result = actor.forward.remote(self._key, batch, result)
            promises.append(result)
        return np.concatenate(self._pipeline.gather(promises))

    def cache_views(self, positions: int) -> list[NDArray[Any]]:
        """Refuse: the caches are on other machines.

        Raises:
            OptionError: always.
        """
        raise OptionError("the caches of a pipeline are on other machines, and cannot be saved here")

    def copy(self, source: int, target: int, positions: int) -> None:
        """Copy the first positions of one sequence to another."""
        for actor in self._actors:
            actor.copy.remote(self._key, source, target, positions)

    def clear(self, sequence: int) -> None:
        """Overwrite what a sequence holds."""
        for actor in self._actors:
            actor.clear.remote(self._key, sequence)

    def close(self) -> None:
        """Let go of the caches."""
        for actor in self._actors:
            actor.close.remote(self._key)
