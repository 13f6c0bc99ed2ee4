"""A text in the making: the tokens that are sampled one by one, what they complete, and what ends them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..arguments import integer, shown
from ..backends import Engine
from ..errors import ContextError
from ..tokenizer.tokenizer import StreamDecoder, Tokenizer
from .constraint import Constraint
from .logprobs import Logprobs, Unread
from .sampling import SamplerOptions, TokenSampler, find_bias
from .stopping import LoopDetector, StopFilter

FinishReason = Literal["stop", "length", "context", "loop"]
"""A stop token or stop string came; `max_tokens` were generated; the context is full; the text repeats its end."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Counts and times (seconds) of a generation up to some token."""

    prompt_tokens: int
    """How many were fed; those that the session held already are not counted."""
    prompt_seconds: float
    tokens: int = 0
    seconds: float = 0.0
    """Time since the first token was sampled, in which all tokens but that one were computed."""
    drafted: int = 0
    """Tokens that were guessed (speculation), of which `accepted` were right."""
    accepted: int = 0
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
    """One generated token.

    `text` is what it completes: nothing within a character or within what may be the beginning of a stop string, and
    for the token that stops.
    """

    text: str
    id: int
    stats: Statistics
    _logprobs: Logprobs = field(repr=False, compare=False)

    @property
    def logprob(self) -> float:
        """Natural logarithm of the model's probability, before any sampler option; computed when it is read."""
        return self._logprobs.chosen

    @property
    def top_logprobs(self) -> Sequence[tuple[int, float]]:
        """Ids and logprobs of the most probable tokens, the best first, as many as were asked for."""
        return self._logprobs.best


class Generation:
    """Turns the logits after each token into the next token; who feeds the model is not its business."""

    def __init__(
        self,
        engine: Engine,
        vocab_size: int,
        tokenizer: Tokenizer,
        ids: Sequence[int],
        *,
        context: int,
        options: SamplerOptions,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        stop_loops: bool = False,
        top_logprobs: int = 0,
        constraint: Constraint | None = None,
        keep_logits: bool = False,
    ) -> None:
        """Check the options for a text that continues `ids` in a context of so many tokens.

        With `keep_logits`, a copy of those of the last token stays in `logits`.

        Raises:
            ContextError: the prompt, or the prompt and `max_tokens`, do not fit into the context.
            OptionError: an option is out of range.
        """
        if max_tokens is not None:
            max_tokens = integer("max_tokens", max_tokens, least=1)
        self._top_logprobs = integer("top_logprobs", top_logprobs, least=0, most=vocab_size)
        room = context - len(ids)
        if room < (max_tokens or 1):
            wanted = "" if max_tokens is None else f" and {shown(max_tokens)} more to generate"
            raise ContextError(f"{len(ids)} prompt tokens{wanted} do not fit into the context of {context}")
        self.ids = list(ids)
        """The prompt and all tokens so far, also the one that stops."""
        self.prompt_length = len(ids)
        """How many of `ids` are the prompt."""
        self.logits: NDArray[np.float32] | None = None
        """What the last token was sampled from (vocab_size,), if that is to be kept."""
        self._keep_logits = keep_logits
        self._options = options
        self._most = max_tokens or room
        self._last_reason: FinishReason = "context" if max_tokens is None else "length"
        self._tokenizer = tokenizer
        self._sampler = TokenSampler(engine, vocab_size, options, find_bias(options, tokenizer, vocab_size))
        self._decoder = StreamDecoder(tokenizer)
        self._filter = StopFilter(stop)
        self._unread = Unread()
        self._loops = LoopDetector() if stop_loops else None
        self._constraint = constraint
        self._stats = Statistics(prompt_tokens=0, prompt_seconds=0.0)
        self._first = 0.0

    @property
    def finished(self) -> bool:
        """Whether the last piece has come."""
        return self._stats.finish_reason is not None

    def start(self, *, prompt_tokens: int, prompt_seconds: float) -> None:
        """Note what it took to feed the prompt; the first piece comes next."""
        self._stats = replace(self._stats, prompt_tokens=prompt_tokens, prompt_seconds=prompt_seconds)
        self._first = time.perf_counter()

    def next(self, logits: NDArray[np.float32], *, drafted: int = 0, accepted: int = 0) -> Piece:
        """Sample from the logits (vocab_size,) after the last token, of which as many were guessed so far.

        The piece keeps the logits, which must not change any more.

        Raises:
            OptionError: the grammar of the constraint is too complex, or no token has a chance.
        """
        if self._keep_logits:
            self.logits = logits.copy()
        allowed = self._constraint.allowed() if self._constraint else None
        id = self._sampler.sample(logits, self._options.recent(self.ids, self.prompt_length), allowed)
        self.ids.append(id)
        if self._constraint:
            self._constraint.accept(id)
        count = self._stats.tokens + 1
        stops = id in self._tokenizer.stop_ids
        text = "" if stops else self._filter.feed(self._decoder.feed(id))
        reason: FinishReason | None = None
        if stops or self._filter.stopped:
            reason = "stop"
        elif count == self._most:
            reason = self._last_reason
        elif self._loops and self._loops.feed(id):
            reason = "loop"
        if reason is not None:
            text += self._filter.feed(self._decoder.flush()) + self._filter.flush()
        self._stats = Statistics(
            prompt_tokens=self._stats.prompt_tokens,
            prompt_seconds=self._stats.prompt_seconds,
            tokens=count,
            seconds=time.perf_counter() - self._first,
            drafted=drafted,
            accepted=accepted,
            finish_reason=reason,
        )
        return Piece(text=text, id=id, stats=self._stats, _logprobs=self._unread.add(logits, id, self._top_logprobs))
