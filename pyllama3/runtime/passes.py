"""Forward passes over the caches of some sequences, whoever computes them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .model import Model


class Passes(Protocol):
    """What sessions and schedulers need: the batch that they fill, the pass, and the caches. See `State`."""

    @property
    def model(self) -> Model:
        """Model that is run."""

    @property
    def context(self) -> int:
        """Positions of each sequence."""

    @property
    def batch(self) -> int:
        """Most rows of a pass."""

    @property
    def tokens(self) -> NDArray[np.int32]:
        """Token of each row."""

    @property
    def positions(self) -> NDArray[np.int32]:
        """Position of each row in its sequence."""

    @property
    def sequence_ids(self) -> NDArray[np.int32]:
        """Sequence of each row."""

    @property
    def logit_rows(self) -> NDArray[np.int32]:
        """Rows whose logits are wanted, in ascending order."""

    @property
    def cache_bytes(self) -> int:
        """Memory that the caches take at most."""

    def forward(self, rows: int, logit_rows: int) -> NDArray[np.float32]:
        """Run a batch and return the logits (logit_rows, vocab_size), valid until the next one."""

    def cache_views(self, positions: int) -> list[NDArray[Any]]:
        """Return views of the first positions of all sequences."""

    def copy(self, source: int, target: int, positions: int) -> None:
        """Copy the first positions of one sequence to another."""

    def clear(self, sequence: int) -> None:
        """Overwrite what a sequence holds."""

    def close(self) -> None:
        """Let go of the caches."""


class MakePasses(Protocol):
    """Allocates the caches of some sequences of a model, such as `State`."""

    def __call__(
        self,
        model: Any,
        *,
        context: int,
        sequences: int = 1,
        batch: int = ...,
        threads: int | None = None,
        grows: bool = False,
    ) -> Passes:
        """Return what runs passes over them; with `grows`, they may take their memory as it is needed."""
