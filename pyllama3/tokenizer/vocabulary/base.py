"""What a tokenizer is made of, independent of the file format it was read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BEGIN_OF_TEXT = "<|begin_of_text|>"
_STOP_NAMES = ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>", "<|im_end|>", "<|endoftext|>")


@dataclass(frozen=True, kw_only=True, eq=False)
class BytePairs:
    """Byte-level BPE: text is cut into pieces, inside which tokens are merged in the order of their ids."""

    pattern: str
    """Regular expression that cuts text into pieces."""
    merges: Sequence[str] | None = None
    """Pairs "a b" in GPT-2's alphabet by rank, if the file lists them; `Tokenizer` does not need them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SentencePieces:
    """SentencePiece's BPE: characters of the whole text are merged, the pair of the highest score first."""

    scores: Sequence[float]
    byte_ids: Mapping[int, int]
    """Tokens of single bytes, into which a character is cut that is no token."""
    space_prefix: bool
    """Whether a text gets a space in front, which decoding takes away."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """Everything a tokenizer is made of; ids index `tokens`."""

    tokens: Sequence[bytes]
    """Text of every token, for special tokens their name."""
    special: Mapping[str, int]
    """Control tokens by name: they mark structure and never come from a user's text."""
    user_defined: Mapping[str, int]
    """Added tokens which are ordinary text, but never split or merged."""
    algorithm: BytePairs | SentencePieces
    """How text becomes tokens."""
    bos_id: int | None
    eos_id: int | None
    eot_id: int | None = None
    """Token that ends a turn of a chat, if the file names it."""
    add_bos: bool
    """Whether the model expects `bos_id` in front of every text."""
    stop_ids: frozenset[int]
    """Tokens that end a generation."""

    def name(self, id: int | None) -> str:
        """Return the text of a token, "" for None."""
        return "" if id is None else self.tokens[id].decode("utf-8", "replace")


def find_stop_ids(special: Mapping[str, int]) -> set[int]:
    """Return the special tokens whose names say that they end a text, a message or a turn."""
    return {special[name] for name in _STOP_NAMES if name in special}
