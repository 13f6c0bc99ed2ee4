"""How the next token is chosen: the options, and the engine's sampler with what the host does to logits before it."""

from __future__ import annotations

import math
import secrets
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import flag, integer, mapping, real, shown
from ..backends import Engine
from ..errors import OptionError
from ..tokenizer.tokenizer import Tokenizer

_MAX_SEED = 2**63 - 1
_LARGEST = 1e15
"""Largest magnitude of what is added to logits, or what they are multiplied with: all of it leaves them finite."""

_INTEGERS = {"top_k": 2**31 - 1, "repeat_last_n": 2**31 - 1, "seed": _MAX_SEED}
"""Options that are whole numbers, and the largest of each."""
_ANY = (-_LARGEST, _LARGEST, f"{-_LARGEST:g} to {_LARGEST:g}")
_NUMBERS = {
    "temperature": (0, sys.float_info.max, "0 or more"),
    "top_p": (math.ulp(0), 1, "more than 0, at most 1"),
    "min_p": (0, 1, "0 to 1"),
    "repeat_penalty": (1 / _LARGEST, _LARGEST, f"{1 / _LARGEST:g} to {_LARGEST:g}"),
    "presence_penalty": _ANY,
    "frequency_penalty": _ANY,
}
"""Options that are numbers: the smallest and the largest of each, and what is said about them."""


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
    repeat_prompt: bool = True
    """Whether those of the prompt are among them, as in llama.cpp and `transformers`.

    If they are, the words of a question are unlikely in its answer.
    """
    presence_penalty: float = 0.0
    """Subtracted from the logits of tokens that were generated before."""
    frequency_penalty: float = 0.0
    """Subtracted from the logits of tokens once for each time they were generated before."""
    logit_bias: Mapping[int | str, float] = field(default_factory=dict)
    """Added to the logits of tokens, which are named by their id or their text; -inf forbids them."""
    seed: int | None = None
    """Same seed, same tokens; None takes a random one."""

    def __post_init__(self) -> None:
        """Check the values, and make numbers of other libraries Python's own.

        Raises:
            OptionError: a value has another type, or is outside of its range.
        """
        for name, largest in _INTEGERS.items():
            if (value := getattr(self, name)) is not None or name != "seed":
                object.__setattr__(self, name, integer(name, value, least=0, most=largest))
        for name, (least, most, allowed) in _NUMBERS.items():
            number = real(name, given := getattr(self, name))
            if not least <= number <= most:
                raise OptionError(f"{name} is {shown(given)}; allowed: {allowed}")
            object.__setattr__(self, name, number)
        object.__setattr__(self, "repeat_prompt", flag("repeat_prompt", self.repeat_prompt))
        object.__setattr__(self, "logit_bias", _biases(self.logit_bias))

    def recent(self, ids: Sequence[int], prompt_length: int) -> Sequence[int]:
        """Return the tokens that the repeat penalty is for, out of a prompt and what has come after it."""
        return ids[max(len(ids) - self.repeat_last_n, 0 if self.repeat_prompt else prompt_length) :]


def _biases(value: Any) -> dict[int | str, float]:
    biases: dict[int | str, float] = {}
    for token, bias in mapping("logit_bias", value, "a mapping of tokens to numbers").items():
        named = token if isinstance(token, str) else integer("a token of logit_bias", token)
        number = real(f"logit_bias of {shown(token)}", bias)
        if number != -math.inf and not abs(number) <= _LARGEST:
            raise OptionError(f"logit_bias of {shown(token)} is {shown(bias)}; allowed: {_ANY[2]}, or -inf")
        biases[named] = number
    return biases


class TokenSampler:
    """The engine's sampler with its working memory. It remembers what it has sampled, for the penalties."""

    def __init__(
        self, engine: Engine, vocab_size: int, options: SamplerOptions, bias: Mapping[int, float] | None = None
    ) -> None:
        """Prepare sampling from logits (vocab_size,); `bias` is `options.logit_bias` by ids, see `find_bias`."""
        self._engine = engine
        self._native = engine.Sampler()
        self._native.set_buffers(engine.empty("int32", vocab_size), engine.empty("float64", vocab_size), vocab_size)
        self._native.set_options(
            options.temperature, options.top_k, options.top_p, options.min_p, options.repeat_penalty
        )
        self._native.set_seed(secrets.randbits(63) if options.seed is None else options.seed)
        self._options = options
        self._window = options.repeat_last_n if options.repeat_penalty != 1 else 0
        self._logits = engine.empty("float32", vocab_size)
        self._recent = engine.empty("int32", max(1, self._window))
        self._biased = list(bias or ())
        self._bias = np.array(list((bias or {}).values()), np.float32)
        self._counts: Counter[int] = Counter()
        self._penalizes = bool(options.presence_penalty or options.frequency_penalty)
        self._adjusts = bool(bias) or self._penalizes or options.repeat_penalty != 1
        """Whether logits are changed before the draw, by the engine or here."""

    def remember(self, ids: Sequence[int]) -> None:
        """Take tokens for sampled ones, for the penalties."""
        self._counts.update(ids)

    def adjusted(self, logits: NDArray[np.float32], allowed: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Return logits (vocab_size,) with biases and the host's penalties, valid until the next call.

        Tokens that are not `allowed` (vocab_size,) have no chance.
        """
        changed: NDArray[np.float32] = self._engine.numpy(self._logits, "float32")
        changed[:] = logits
        changed[self._biased] += self._bias
        if self._penalizes:
            self._penalize(changed)
        if allowed is not None:
            changed[~allowed] = -np.inf
        return changed

    def sample(
        self, logits: NDArray[np.float32], recent: Sequence[int], allowed: NDArray[np.bool_] | None = None
    ) -> int:
        """Choose a token by its logits (vocab_size,), which are left as they are, and the tokens so far.

        Tokens that are not `allowed` (vocab_size,) have no chance.

        Raises:
            OptionError: none has.
        """
        adjusted = self._logits
        if self._adjusts or allowed is not None:
            self.adjusted(logits, allowed)
        else:  # a copy takes as long as looking for the best
            adjusted = self._engine.view(logits.view(np.uint8), "float32")
        window = recent[-self._window :] if self._window else ()
        if window:
            self._engine.numpy(self._recent, "int32")[: len(window)] = window
        id = int(self._native.sample(adjusted, self._recent, len(window)))
        if id < 0:
            causes = "logit_bias excludes" if allowed is None else "the grammar and logit_bias exclude"
            raise OptionError(f"no token can come next: {causes} all {len(logits)}")
        self._counts[id] += 1
        return id

    def _penalize(self, logits: NDArray[np.float32]) -> None:
        """Subtract the penalties; platform.openai.com/docs/api-reference defines them on what has been sampled."""
        counts = np.fromiter(self._counts.values(), np.float32)
        logits[list(self._counts)] -= self._options.presence_penalty + self._options.frequency_penalty * counts


def find_bias(options: SamplerOptions, tokenizer: Tokenizer, vocab_size: int) -> dict[int, float]:
    """Return `options.logit_bias` by the ids of the tokens.

    Raises:
        OptionError: there is no such token, or a text is not one token.
    """
    bias = {}
    for token, value in options.logit_bias.items():
        ids = tokenizer.encode(token, special=True) if isinstance(token, str) else [token]
        if len(ids) != 1:
            raise OptionError(f"logit_bias of {shown(token)}: the text is {len(ids)} tokens, not one")
        if not 0 <= ids[0] < vocab_size:
            raise OptionError(f"logit_bias of {shown(token)}: there is no such token; allowed: 0 to {vocab_size - 1}")
        bias[ids[0]] = value
    return bias
