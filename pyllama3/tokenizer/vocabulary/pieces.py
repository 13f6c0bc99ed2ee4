"""How SentencePiece spells tokens: U+2581 for a space, <0x0A> for a byte."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from ...errors import TokenizerError

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def piece_byte(name: str) -> int | None:
    """Return the byte that a name like <0x0A> stands for."""
    match = _BYTE.fullmatch(name)
    return int(match[1], 16) if match else None


def piece_bytes(name: str) -> bytes:
    """Return the text of a token that is neither special nor a byte."""
    return name.replace(SPACE, " ").encode("utf-8", "replace")


def piece_name(token: bytes) -> str:
    """Return the spelling of a token that is neither special nor a byte."""
    return token.decode("utf-8", "replace").replace(" ", SPACE)


def byte_name(byte: int) -> str:
    """Return the spelling of a byte."""
    return f"<0x{byte:02X}>"


def check_scores(scores: Sequence[float]) -> None:
    """Check that scores have an order.

    Raises:
        TokenizerError: they have not.
    """
    for id, score in enumerate(scores):
        if math.isnan(score):
            raise TokenizerError(f"the score of token {id} is not a number")
