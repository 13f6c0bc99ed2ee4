"""The loop that feeds a session, samples from its logits and yields text as it becomes complete."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .backends import Engine
from .errors import ContextError, OptionError
from .session import Session
from .tokenizer import StreamDecoder, Tokenizer

FinishReason = Literal["stop", "length", "context"]
"""A stop token came; `max_tokens` were generated; the context is full."""

_MAX_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class SamplerOptions:
    """How to choose tokens; the defaults are those of Meta's example scripts."""

    temperature: float = 0.6
    """Divides the logits; 0 takes the best token."""
    top_k: int = 0
    """Keeps the best tokens only; 0 keeps all."""
    top_p: float = 0.9
    """Keeps the fewest tokens whose probabilities sum to this; 1 keeps all."""
    min_p: float = 0.0
    """Keeps tokens at least this times as probable as the best; 0 keeps all."""
    repeat_penalty: float = 1.0
    """Lowers the logits of recent tokens; 1 changes nothing."""
    repeat_last_n: int = 64
    """How many tokens are recent."""
    seed: int | None = None
    """Same seed, same tokens; None takes a random one."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            OptionError: a value is outside of its range.
        """
        for name, allowed, ok in (
            ("temperature", "0 or more", 0 <= self.temperature < float("inf")),
            ("top_k", "0 or more", 0 <= self.top_k < 2**31),
            ("top_p", "more than 0, at most 1", 0 < self.top_p <= 1),
            ("min_p", "0 to 1", 0 <= self.min_p <= 1),
            ("repeat_penalty", "more than 0", 0 < self.repeat_penalty < float("inf")),
            ("repeat_last_n", "0 or more", 0 <= self.repeat_last_n < 2**31),
            ("seed", f"0 to {_MAX_SEED}", self.seed is None or 0 <= self.seed <= _MAX_SEED),
        ):
            if not ok:
                raise OptionError(f"{name} is {getattr(self, name)}; allowed: {allowed}")


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Counts and times (seconds) of a generation up to some token."""

    prompt_tokens: int
    prompt_seconds: float
    tokens: int = 0
    seconds: float = 0.0
    """Time since the first token was sampled, in which all tokens but that one were computed."""
    finish_reason: FinishReason | None = None

    @property
    def prompt_speed(self) -> float:
        """Prompt tokens per second."""
        return self.prompt_tokens / self.prompt_seconds

    @property
    def speed(self) -> float:
        """Generated tokens per second, the first one excluded; 0 if there are no others."""
        return (self.tokens - 1) / self.seconds if self.tokens > 1 else 0.0


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One generated token: `text` is what it completes, empty within a character and for the token that stops."""

    text: str
    id: int
    logprob: float
    """Natural logarithm of the model's probability, before any sampler option."""
    stats: Statistics


class TokenSampler:
    """The engine's sampler with its working memory."""

    def __init__(self, engine: Engine, vocab_size: int, options: SamplerOptions) -> None:
        self._engine = engine
        self._native = engine.Sampler()
        self._native.set_buffers(engine.empty("int32", vocab_size), engine.empty("float64", vocab_size), vocab_size)
        self._native.set_options(
            float(options.temperature),
            options.top_k,
            float(options.top_p),
            float(options.min_p),
            float(options.repeat_penalty),
        )
        self._native.set_seed(secrets.randbits(63) if options.seed is None else options.seed)
        self._window = options.repeat_last_n if options.repeat_penalty != 1 else 0
        self._logits = engine.empty("float32", vocab_size)
        self._recent = engine.empty("int32", max(1, self._window))

    def sample(self, logits: NDArray[np.float32], recent: Sequence[int]) -> int:
        """Choose a token by its logits (vocab_size,), which are left as they are, and the tokens so far."""
        window = recent[-self._window :] if self._window else ()
        self._engine.numpy(self._logits, "float32")[:] = logits
        self._engine.numpy(self._recent, "int32")[: len(window)] = window
        return int(self._native.sample(self._logits, self._recent, len(window)))


def generate(
    session: Session,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    *,
    options: SamplerOptions,
    max_tokens: int | None = None,
) -> Iterator[Piece]:
    """Feed a prompt and yield a piece per generated token, until a stop token, `max_tokens` or the end of the context.

    The last piece has `stats.finish_reason`. All arguments are checked before the first piece is asked for.

    Raises:
        ContextError: the prompt, or the prompt and `max_tokens`, do not fit into the context.
        OptionError: `max_tokens` is less than 1, the prompt is empty, or a token is not in the vocabulary.
    """
    room = session.context - session.position - len(prompt)
    if max_tokens is not None and max_tokens < 1:
        raise OptionError(f"max_tokens is {max_tokens}; allowed: 1 or more")
    if room < (max_tokens or 1):
        wanted = "" if max_tokens is None else f" and {max_tokens} more to generate"
        raise ContextError(
            f"{session.position + len(prompt)} prompt tokens{wanted} do not fit into the context of {session.context}"
        )
    session.check(prompt)
    return _generate(
        session,
        tokenizer,
        prompt,
        TokenSampler(session.engine, session.config.vocab_size, options),
        max_tokens or room,
        max_tokens,
    )


def _generate(
    session: Session,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    sampler: TokenSampler,
    most: int,
    max_tokens: int | None,
) -> Iterator[Piece]:
    decoder = StreamDecoder(tokenizer)
    started = time.perf_counter()
    logits = session.feed(prompt)
    first = time.perf_counter()
    stats = Statistics(prompt_tokens=len(prompt), prompt_seconds=first - started)
    for count in range(1, most + 1):
        id = sampler.sample(logits, session.ids)
        stop = id in tokenizer.stop_ids
        text = "" if stop else decoder.feed(id)
        reason: FinishReason | None = None
        if stop:
            reason = "stop"
        elif count == most:
            reason = "context" if max_tokens is None else "length"
        if reason is not None:
            text += decoder.flush()
        stats = replace(stats, tokens=count, seconds=time.perf_counter() - first, finish_reason=reason)
        yield Piece(text=text, id=id, logprob=_logprob(logits, id), stats=stats)
        if reason is not None:
            return
        logits = session.feed([id])


def _logprob(logits: NDArray[np.float32], id: int) -> float:
    best = logits.max()
    return float(logits[id] - best - np.log(np.exp(logits - best).sum(dtype=np.float64)))
