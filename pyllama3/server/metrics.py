"""What is counted, in the form of Prometheus."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .worker import Worker

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """Counters and times of one server."""

    def __init__(self, worker: Worker) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self.requests = Counter("pyllama3_requests", "Requests answered.", ["path", "status"], registry=registry)
        self.prompt_tokens = Counter("pyllama3_prompt_tokens", "Tokens of prompts.", registry=registry)
        self.cached_tokens = Counter(
            "pyllama3_cached_tokens", "Tokens of prompts that were in the cache.", registry=registry
        )
        self.tokens = Counter("pyllama3_generated_tokens", "Tokens generated.", registry=registry)
        self.first_token = Histogram(
            "pyllama3_first_token_seconds",
            "From a request to the first token of its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        running = Gauge("pyllama3_texts_running", "Texts that have a place.", registry=registry)
        running.set_function(lambda: worker.running)
        waiting = Gauge("pyllama3_texts_waiting", "Texts in the queue.", registry=registry)
        waiting.set_function(lambda: worker.waiting)

    def render(self) -> bytes:
        """Return all numbers as text of the type `CONTENT_TYPE`."""
        return generate_latest(self._registry)
