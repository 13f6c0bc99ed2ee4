"""What turns text into tokens, once added tokens have been taken out of it."""

from __future__ import annotations

from typing import Literal, Protocol

Before = Literal["nothing", "token", "text"]
"""What stands before a text: it is the beginning, it follows an added token, or it goes on with a text."""


class Encoder(Protocol):
    """Turns text into tokens."""

    def encode(self, text: str, before: Before) -> list[int]:
        """Return the ids of a text that has no added tokens."""
