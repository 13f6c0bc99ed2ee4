"""Tests as llama-bench defines them: pp512 reads a prompt of 512 tokens, tg128 generates 128 tokens.

"@ d4096" follows where that happens behind 4096 tokens. Tokens are random, and none is sampled but in "tg128 sampled",
which is what users of `Llama.generate` wait for: tokens are sampled, decoded, and looked at for stops.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...backends import load_engine
from ...config import Precision
from ...cpu import physical_cores
from ...errors import ContextError, TokenizerError
from ...generation.loop import generate
from ...generation.sampling import SamplerOptions
from ...runtime.model import EngineModel
from ...runtime.session import Session
from ...tokenizer.tokenizer import Tokenizer
from ...weights import Weights
from ...weights.convert.mixtures import MIXTURES
from .peak_memory import peak_memory, reset_peak

Report = Callable[[str], object]
"""Receives what is going on, for the user."""


@dataclass(frozen=True, kw_only=True)
class SpeedTest:
    """Reads a prompt, or generates: the other number is 0."""

    prompt: int = 0
    generated: int = 0
    sampled: bool = False
    """Whether what is generated is a text, by the default options."""
    depth: int = 0
    """Tokens in front, which are not part of the measured time."""

    @property
    def name(self) -> str:
        """Return its name in llama-bench."""
        name = f"pp{self.prompt}" if self.prompt else f"tg{self.generated}{' sampled' if self.sampled else ''}"
        return f"{name} @ d{self.depth}" if self.depth else name

    @property
    def tokens(self) -> int:
        """Tokens that are read or generated in the measured time."""
        return self.prompt + self.generated

    @property
    def context(self) -> int:
        """Tokens that have to fit into the context; the last one of a text is not fed."""
        return self.depth + self.tokens + self.sampled


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured for one test."""

    model: str
    size: int
    """Bytes of all tensors in the file."""
    params: int
    backend: str
    precision: Precision
    threads: int
    test: SpeedTest
    speeds: tuple[float, ...]
    """Tokens per second of each repetition."""
    memory: int
    """Largest resident memory so far, in bytes; 0 if unknown."""

    @cached_property
    def mean(self) -> float:
        """Mean of the speeds."""
        return statistics.fmean(self.speeds)

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of the speeds, estimated from the sample; 0 for a single one."""
        return statistics.stdev(self.speeds) if len(self.speeds) > 1 else 0.0


def make_tests(prompts: Sequence[int], generated: Sequence[int], depths: Sequence[int]) -> list[SpeedTest]:
    """Return all combinations but those of 0 tokens, in ascending order of depths."""
    return [
        test
        for depth in sorted(depths)
        for test in [
            *(SpeedTest(prompt=count, depth=depth) for count in prompts if count > 0),
            *(
                SpeedTest(generated=count, sampled=sampled, depth=depth)
                for count in generated
                if count > 0
                for sampled in (False, True)
            ),
        ]
    ]


def describe(weights: Weights) -> str:
    """Return the name of a model with that of its mixture of types, or of the type that takes the most space."""
    for name, mixture in MIXTURES.items():
        if mixture.file_type == weights.metadata.get("general.file_type"):
            return f"{weights.config.name} {name}"
    sizes: dict[str, int] = {}
    for tensor in weights.tensors.values():
        sizes[tensor.type.name] = sizes.get(tensor.type.name, 0) + tensor.nbytes
    return f"{weights.config.name} {max(sizes, key=sizes.__getitem__)}"


def measure(
    load: Callable[[], Weights],
    tests: Sequence[SpeedTest],
    *,
    backend: str | None = None,
    precision: Precision = "default",
    threads: Sequence[int] | None = None,
    repetitions: int = 5,
    report: Report = lambda text: None,
) -> list[Result]:
    """Load a model and run tests, which are in ascending order of depths, with each number of threads.

    A first run of each test warms up; its time is not counted. Where there is no vocabulary, no text is generated.

    Raises:
        BackendError: the backend is unknown or has not been built, or there is not enough memory.
        ContextError: a test needs more tokens than the model allows.
    """
    engine = load_engine(backend)
    threads = threads or [physical_cores()]
    reset_peak()
    weights = load()
    tokenizer = _find_tokenizer(weights)
    if tokenizer is None:
        tests = [test for test in tests if not test.sampled]
    longest = max(tests, key=lambda test: test.context)
    context = longest.context
    if context > weights.config.context:
        raise ContextError(f"{longest.name} needs {context} tokens; {weights.path} allows {weights.config.context}")
    name, size = describe(weights), sum(tensor.nbytes for tensor in weights.tensors.values())
    model = EngineModel(engine, weights, threads=max(threads), precision=precision)
    results = []
    for count in threads:
        session = Session(model, context=context, threads=count)
        for test in tests:
            report(f"{name}, {count} thread{'s' if count > 1 else ''}: {test.name}")
            speeds = _speeds(session, tokenizer, test, repetitions)
            results.append(
                Result(
                    model=name,
                    size=size,
                    params=weights.parameters,
                    backend=engine.name,
                    precision=precision,
                    threads=count,
                    test=test,
                    speeds=speeds,
                    memory=peak_memory(),
                )
            )
            report(f"  {results[-1].mean:.2f} ± {results[-1].deviation:.2f} t/s")
        session.close()
    weights.close()
    return results


class _Endless(Tokenizer):
    """A tokenizer that lets no text end by itself."""

    stop_ids = frozenset()


def _find_tokenizer(weights: Weights) -> Tokenizer | None:
    try:
        return _Endless(weights.load_vocabulary())
    except TokenizerError:  # random weights have none
        return None


def _speeds(session: Session, tokenizer: Tokenizer | None, test: SpeedTest, repetitions: int) -> tuple[float, ...]:
    if session.position < test.depth:
        session.feed(_random_tokens(session, test.depth - session.position))
    _run(session, tokenizer, replace(test, generated=min(test.generated, 1)))
    return tuple(test.tokens / _run(session, tokenizer, test) for _ in range(repetitions))


def _random_tokens(session: Session, count: int) -> list[int]:
    return random.choices(range(session.config.vocab_size), k=count)


def _run(session: Session, tokenizer: Tokenizer | None, test: SpeedTest) -> float:
    """Run a test and return the seconds it took."""
    steps = [[token] for token in _random_tokens(session, test.generated)]
    if test.prompt:
        steps = [_random_tokens(session, test.prompt)]
    started = time.perf_counter()
    if test.sampled:
        assert tokenizer is not None
        for _ in generate(session, tokenizer, steps[0], options=SamplerOptions(), max_tokens=test.generated):
            pass
    else:
        for tokens in steps:
            session.feed(tokens)
    seconds = time.perf_counter() - started
    session.rewind(test.depth)
    return seconds
