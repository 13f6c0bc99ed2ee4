"""The loop that feeds a session, samples from its logits and yields text as it becomes complete."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence

from ..runtime.session import Session
from ..tokenizer.tokenizer import Tokenizer
from .constraint import Constraint
from .generation import FinishReason, Generation, Piece, Statistics
from .sampling import SamplerOptions, TokenSampler
from .speculation import Drafter, Speculation

__all__ = ["FinishReason", "Piece", "SamplerOptions", "Statistics", "TokenSampler", "generate"]


def generate(
    session: Session,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    *,
    options: SamplerOptions,
    max_tokens: int | None = None,
    stop: str | Sequence[str] = (),
    stop_loops: bool = False,
    top_logprobs: int = 0,
    constraint: Constraint | None = None,
    drafter: Drafter | None = None,
) -> Generator[Piece, None, None]:
    """Feed a prompt and yield a piece per generated token, until a stop, `max_tokens` or the end of the context.

    The prompt follows what the session holds. The last piece has `stats.finish_reason`; afterwards the session holds
    all tokens but the last. All arguments are checked before the first piece is asked for.

    Args:
        session: holds what comes before the prompt.
        tokenizer: decodes the tokens, and knows those that stop.
        prompt: tokens to continue.
        options: how to choose tokens.
        max_tokens: tokens to generate at most.
        stop: strings that end the text, without being part of it.
        stop_loops: whether a text ends that does nothing but repeat its end, see `LoopDetector`.
        top_logprobs: how many of the most probable tokens each piece reports.
        constraint: what the text may look like.
        drafter: guesses tokens, which changes the speed only.

    Raises:
        ContextError: the prompt, or the prompt and `max_tokens`, do not fit into the context.
        OptionError: an option is out of range, or the prompt has a token that is not in the vocabulary.
    """
    generation = Generation(
        session.engine,
        session.config.vocab_size,
        tokenizer,
        [*session.ids, *prompt],
        context=session.context,
        options=options,
        max_tokens=max_tokens,
        stop=stop,
        stop_loops=stop_loops,
        top_logprobs=top_logprobs,
        constraint=constraint,
    )
    session.check(prompt)
    return _generate(session, generation, prompt, drafter)


def _generate(
    session: Session, generation: Generation, prompt: Sequence[int], drafter: Drafter | None
) -> Generator[Piece, None, None]:
    started = time.perf_counter()
    logits = session.feed(prompt)
    generation.start(prompt_tokens=len(prompt), prompt_seconds=time.perf_counter() - started)
    speculation = Speculation(session, drafter)
    try:
        while True:
            yield generation.next(logits, drafted=speculation.drafted, accepted=speculation.accepted)
            if generation.finished:
                return
            logits = speculation.feed(generation.ids)
    finally:
        speculation.settle()
