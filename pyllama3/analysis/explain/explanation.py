"""The explanation of a generated text."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...errors import ContextError, OptionError
from ...generation.sampling import SamplerOptions, TokenSampler, find_bias
from ...model import Llama
from ...runtime.trace import Trace
from .choices import Choice, explain_choice
from .insight import Insight, look_inside

MAX_TOKENS = 128
"""Most tokens of an explanation, prompt and generated ones: attention maps grow with their square."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A prompt, what was generated, and why."""

    ids: list[int]
    """Prompt and generated tokens."""
    prompt_length: int
    options: SamplerOptions
    choices: list[Choice]
    """One for each generated token."""
    insight: Insight
    """Of all tokens but the last, which the model has not read."""


def explain(llm: Llama, prompt: Sequence[int], *, max_tokens: int, options: SamplerOptions) -> Explanation:
    """Continue a prompt and note how each token was chosen; an option `seed` of None is replaced by a random one.

    Raises:
        ContextError: prompt and generated tokens are more than the context, or than `MAX_TOKENS`.
        OptionError: `max_tokens` is out of range, or the prompt has a token that is not in the vocabulary.
    """
    if max_tokens < 1:
        raise OptionError(f"max_tokens is {max_tokens}; allowed: 1 or more")
    most = min(MAX_TOKENS, llm.context)
    if len(prompt) + max_tokens > most:
        raise ContextError(
            f"{len(prompt)} prompt tokens and {max_tokens} more are too many to explain; allowed: {most}"
        )
    if options.seed is None:
        options = replace(options, seed=secrets.randbits(31))
    ids = list(prompt)
    choices = []
    with llm.session() as session:
        engine, vocab_size = session.engine, session.config.vocab_size
        sampler = TokenSampler(engine, vocab_size, options, find_bias(options, llm.tokenizer, vocab_size))
        numbers = engine.RandomNumbers()
        numbers.set_seed(options.seed)
        logits = session.feed(ids)
        while True:
            adjusted = sampler.adjusted(logits).copy()
            recent = options.recent(ids, len(prompt))
            id = sampler.sample(logits, recent)
            random = numbers.next() if options.temperature else None
            choices.append(explain_choice(logits, adjusted, recent, options, random))
            ids.append(id)
            if id in llm.tokenizer.stop_ids or len(choices) == max_tokens:
                break
            logits = session.feed([id])
        insight = look_inside(Trace(session.model.in_engine, ids[:-1], context=most))
    return Explanation(ids=ids, prompt_length=len(prompt), options=options, choices=choices, insight=insight)


def explain_token(
    llm: Llama,
    logits: NDArray[np.float32],
    prompt: Sequence[int],
    answer: Sequence[int],
    options: SamplerOptions,
) -> Choice:
    """Tell how the token after an unfinished answer was chosen, given the logits (vocab_size,) after it.

    Raises:
        OptionError: the temperature is not 0, and there is no seed.
    """
    engine, vocab_size = llm.engine, llm.config.vocab_size
    sampler = TokenSampler(engine, vocab_size, options, find_bias(options, llm.tokenizer, vocab_size))
    sampler.remember(answer)
    adjusted = sampler.adjusted(logits)
    recent = options.recent([*prompt, *answer], len(prompt))
    random = None
    if options.temperature:
        if options.seed is None:
            raise OptionError("seed is missing; without it the random number is not known")
        numbers = engine.RandomNumbers()
        numbers.set_seed(options.seed)
        for _ in range(len(answer) + 1):  # one for each token
            random = numbers.next()
    return explain_choice(logits, adjusted, recent, options, random)
