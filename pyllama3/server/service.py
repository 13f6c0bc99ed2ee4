"""What answers requests, whatever brings them: a model, the worker that generates, and what is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from ..generation.options import sampler_options
from ..model import Llama
from .metrics import Metrics
from .worker import Worker


class Service:
    """A model that is served."""

    def __init__(self, llm: Llama, *, name: str, parallel: int, defaults: Mapping[str, Any]) -> None:
        """Allocate the cache.

        Args:
            llm: answers.
            name: what the model is called.
            parallel: how many texts are generated at a time.
            defaults: options of the sampler for what a request does not say, before those that the model's makers
                recommend.

        Raises:
            BackendError: there is not enough memory.
            OptionError: one of the defaults is unknown, of a wrong type or out of range.
        """
        self.llm = llm
        self.name = name
        self.parallel = parallel
        self.defaults: Mapping[str, Any] = vars(sampler_options(defaults, llm.sampling))
        """All options of the sampler."""
        self.created = int(time.time())
        scheduler = llm.scheduler(parallel)
        self.cache_bytes = scheduler.cache_bytes
        self.worker = Worker(scheduler)
        self.metrics = Metrics(self.worker)
        self.explaining = asyncio.Lock()
        """Held while an explanation is made, which takes a session of its own."""
        self.explanations: dict[str, str] = {}
        """Pages by name, the oldest first."""
