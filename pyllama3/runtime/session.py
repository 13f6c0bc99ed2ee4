"""One sequence of tokens."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..arguments import flag, integer, items, shown
from ..backends import Engine
from ..config import ModelConfig
from ..errors import ContextError, OptionError, StoppedError
from .model import Model
from .passes import MakePasses, Passes
from .state import State


class Session:
    """One sequence: tokens are fed, logits come back. A session is used by one thread at a time."""

    def __init__(
        self, model: Model, *, context: int, threads: int | None = None, make_passes: MakePasses = State
    ) -> None:
        self._open_state: Passes | None = make_passes(model, context=context, threads=threads, grows=True)
        self._ids: list[int] = []
        self._used = threading.Lock()
        self._interrupted = False

    @property
    def _state(self) -> Passes:
        if self._open_state is None:
            raise OptionError("the session is closed")
        return self._open_state

    @property
    def model(self) -> Model:
        """Model that the session belongs to."""
        return self._state.model

    @property
    def config(self) -> ModelConfig:
        """Hyper-parameters of the model."""
        return self._state.model.config

    @property
    def engine(self) -> Engine:
        """Engine that computes."""
        return self._state.model.engine

    @property
    def context(self) -> int:
        """How many tokens the session can hold."""
        return self._state.context

    @property
    def position(self) -> int:
        """How many tokens the session holds."""
        return len(self._ids)

    @property
    def ids(self) -> tuple[int, ...]:
        """Tokens the session holds."""
        return tuple(self._ids)

    def feed(self, ids: Sequence[int], *, all_logits: bool = False) -> NDArray[np.float32]:
        """Append tokens and return the logits after the last (vocab_size,), or after each (len(ids), vocab_size).

        They are the same, to the last bit, however the tokens are cut into calls.

        Raises:
            ContextError: the tokens do not fit into the context; none of them was fed.
            OptionError: there are no tokens, or one is not in the vocabulary; the session is closed, or another thread
                uses it at this moment.
            WeightsError: the logits are not finite numbers.
            StoppedError: `interrupt` was called; the session holds the tokens that were read before.
        """
        with self._use():
            return self._feed(self.check(ids), flag("all_logits", all_logits))

    def _feed(self, ids: list[int], all_logits: bool) -> NDArray[np.float32]:
        state = self._state
        results = []
        for start in range(0, len(ids), state.batch):
            if self._interrupted:
                raise StoppedError("the session was interrupted")
            chunk = ids[start : start + state.batch]
            rows = len(chunk)
            state.tokens[:rows] = chunk
            state.positions[:rows] = np.arange(self.position, self.position + rows)
            state.sequence_ids[:rows] = 0
            wanted = rows if all_logits else int(start + rows == len(ids))
            state.logit_rows[:wanted] = np.arange(rows - wanted, rows)
            logits = state.forward(rows, wanted)
            self.model.check_logits(logits)
            self._ids += chunk
            if wanted:
                results.append(logits.copy())
        last = results[-1] if len(results) == 1 else np.concatenate(results)
        return last if all_logits else last[-1]

    def interrupt(self) -> None:
        """Have the `feed` that another thread runs end after the batch that it computes."""
        self._interrupted = self._used.locked()

    @contextmanager
    def _use(self) -> Iterator[None]:
        """Keep other threads out.

        Raises:
            OptionError: one is in.
        """
        if not self._used.acquire(blocking=False):
            raise OptionError("the session is used by another thread; a session is for one thread at a time")
        try:
            yield
        finally:
            self._interrupted = False
            self._used.release()

    def check(self, ids: Sequence[int]) -> list[int]:
        """Check that `feed` would take some tokens, and return them.

        Raises:
            ContextError: they do not fit into the context.
            OptionError: there are none, or one is not in the vocabulary.
        """
        checked = check_ids(ids, self.config.vocab_size)
        if self.position + len(checked) > self.context:
            raise ContextError(
                f"{self.position} + {len(checked)} tokens do not fit into the context of {self.context} tokens"
            )
        return checked

    def rewind(self, position: int) -> None:
        """Forget all tokens from a position on.

        Raises:
            OptionError: the session does not hold that many tokens.
        """
        if not 0 <= (position := integer("the position", position)) <= self.position:
            raise OptionError(f"cannot rewind to {shown(position)}; the session holds {self.position} tokens")
        with self._use():
            del self._ids[position:]

    def reuse(self, ids: Sequence[int]) -> list[int]:
        """Forget all tokens but those that `ids` begins with, and return the rest of `ids`, which is to be fed.

        The rest is at least the last token, since its logits are not kept.

        Raises:
            OptionError: there are none, or one is not in the vocabulary.
        """
        ids = check_ids(ids, self.config.vocab_size)
        same = 0
        for ours, theirs in zip(self._ids, ids[:-1], strict=False):
            if ours != theirs:
                break
            same += 1
        self.rewind(same)
        return ids[same:]

    def cache_views(self, positions: int) -> list[NDArray[Any]]:
        """Return what the model made of the first tokens, as views of the caches; `restore` puts it in force again."""
        return self._state.cache_views(positions)

    def restore(self, ids: Sequence[int]) -> None:
        """Hold tokens without computing anything: the caller has filled `cache_views(len(ids))`."""
        self._ids = list(ids)

    def close(self) -> None:
        """Free the caches; the session can not be used any more."""
        with self._use():
            if self._open_state is not None:
                self._open_state.close()
                self._open_state = None

    def __reduce__(self) -> NoReturn:
        raise OptionError("a session cannot be pickled or copied; prompt caches keep what it holds")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def check_ids(ids: Sequence[int], vocab_size: int) -> list[int]:
    """Check that there are tokens, and that they are in the vocabulary; return them as Python's own numbers.

    Raises:
        OptionError: there are none, or one is not.
    """
    listed = items("the tokens", ids, "token ids")
    if not listed:
        raise OptionError("there are no tokens to feed")
    try:
        checked = list(map(operator.index, listed))
    except TypeError:
        raise OptionError(f"the tokens are {shown(listed)}; token ids are expected") from None
    for id in checked:
        if not 0 <= id < vocab_size:
            raise OptionError(f"token {shown(id)} is not in the vocabulary; allowed: 0 to {vocab_size - 1}")
    return checked
