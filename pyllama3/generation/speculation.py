"""Speculation: guess the next tokens, and let the model check all guesses in one forward pass.

A token is sampled from the model's own logits in any case, and a guess saves work only where it is that token. Guesses
are checked by steady forward passes, whose logits do not depend on the number of rows. So the text is the very one that
comes without guessing. (Leviathan et al., "Fast Inference from Transformers via Speculative Decoding", 2023, keep only
the distribution, as they do not sample in order.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..arguments import instance, integer
from ..config import ModelConfig
from ..errors import OptionError
from ..runtime.session import Session
from ..tokenizer.tokenizer import Tokenizer

MAX_DRAFT = 64
"""Most tokens that may be guessed at a time."""


class Speaker(Protocol):
    """A model that speaks: a `Llama`."""

    tokenizer: Tokenizer

    @property
    def config(self) -> ModelConfig:
        """Hyper-parameters."""

    def session(self) -> Session:
        """Return a new, empty session."""


class Drafter(Protocol):
    """Guesses."""

    def draft(self, ids: Sequence[int]) -> Sequence[int]:
        """Return tokens that may follow `ids`, which begins with the `ids` of the call before; none is fine."""


class PromptLookup:
    """Guesses that what followed the last few tokens when they came before will follow them again (A. Saxena, 2023).

    A guess is one token longer than what was right of the one before, or twice as long if all of it was.
    """

    _LONGEST, _SHORTEST = 4, 2

    def __init__(self, most: int) -> None:
        """Guess at most so many tokens at a time.

        Raises:
            OptionError: the number is out of range.
        """
        self._most = self._length = _checked(most, "lookup")
        self._guess: Sequence[int] = ()
        self._guessed_at = 0
        self._ends: dict[tuple[int, ...], int] = {}
        self._known = 0

    def draft(self, ids: Sequence[int]) -> Sequence[int]:
        """Return what followed the latest earlier occurrence of the last tokens, of as many of them as possible."""
        self._learn(ids)
        lengths = range(self._LONGEST, self._SHORTEST - 1, -1)
        for end in range(self._known + 1, len(ids)):  # the run that ends now has nothing behind it yet
            for length in lengths:
                if length <= end:
                    self._ends[tuple(ids[end - length : end])] = end
        self._known = max(self._known, len(ids) - 1)
        for length in lengths:
            end = self._ends.get(tuple(ids[-length:]), 0)
            if end:
                self._guess, self._guessed_at = ids[end : end + self._length], len(ids)
                return self._guess
        return ()

    def _learn(self, ids: Sequence[int]) -> None:
        """Choose the length of the next guess by what has become of the last one."""
        if self._guess:
            right = 0
            for guess, id in zip(self._guess, ids[self._guessed_at :], strict=False):
                if guess != id:
                    break
                right += 1
            self._length = min(self._most, 2 * right if right == len(self._guess) else right + 1)
            self._guess = ()


class DraftModel:
    """Guesses what a smaller model finds most probable."""

    def __init__(self, session: Session, most: int) -> None:
        """Guess at most so many tokens at a time with a session of the smaller model.

        Raises:
            OptionError: the number is out of range.
        """
        self._session = session
        self._most = _checked(most, "draft_tokens")

    def draft(self, ids: Sequence[int]) -> Sequence[int]:
        """Return the greedy continuation by the smaller model, nothing where its context ends."""
        session = self._session
        guesses: list[int] = []
        most = min(self._most, session.context - len(ids))
        while len(guesses) < most:
            rest = [guesses[-1]] if guesses else session.reuse(ids)
            guesses.append(int(session.feed(rest).argmax()))
        return guesses


def find_drafter(llm: Speaker, lookup: int, draft: Speaker | None, draft_tokens: int) -> Drafter | None:
    """Return what guesses for a model, by the options of `Llama.generate`.

    Raises:
        OptionError: options exclude each other or are out of range, or the smaller model has another vocabulary.
    """
    if draft is None:
        return PromptLookup(lookup) if integer("lookup", lookup) else None
    if integer("lookup", lookup):
        raise OptionError("lookup and draft exclude each other")
    if not llm.tokenizer.has_tokens_of(instance("draft", draft, type(llm), "a Llama").tokenizer):
        raise OptionError(
            f"the draft model {draft.config.name} has another vocabulary than {llm.config.name}; "
            "its guesses would mean other texts"
        )
    return DraftModel(draft.session(), draft_tokens)


class Speculation:
    """Feeds a session with the tokens that were sampled, and with guesses at those that will be."""

    def __init__(self, session: Session, drafter: Drafter | None) -> None:
        """Without a drafter there is just a row at a time."""
        self._session = session
        self._drafter = drafter
        self._draft: Sequence[int] = ()
        self._rows: NDArray[np.float32] | None = None
        self._used = 0
        self.drafted = 0
        self.accepted = 0

    def feed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return the logits (vocab_size,) after `ids`: all tokens so far, one more than at the call before."""
        if self._used < len(self._draft) and self._draft[self._used] == ids[-1]:
            self._used += 1
            self.accepted += 1
        else:
            self.settle()
            self._draft = self._guess(ids)
            self.drafted += len(self._draft)
            self._rows = self._session.feed([ids[-1], *self._draft], all_logits=True)
        assert self._rows is not None
        logits: NDArray[np.float32] = self._rows[self._used]
        return logits

    def settle(self) -> None:
        """Make the session forget the guesses that have not been right so far."""
        self._session.rewind(self._session.position - len(self._draft) + self._used)
        self._draft, self._used = (), 0

    def _guess(self, ids: Sequence[int]) -> Sequence[int]:
        if self._drafter is None:
            return ()
        return self._drafter.draft(ids)[: self._session.context - self._session.position - 1]


def _checked(most: int, name: str) -> int:
    return integer(name, most, least=1, most=MAX_DRAFT)
