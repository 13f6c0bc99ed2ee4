"""What a tokenizer is made of, independent of the file format it was read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .pre_tokenizers import PreTokenizer

BEGIN_OF_TEXT = "<|begin_of_text|>"


@dataclass(frozen=True, kw_only=True, eq=False)
class BytePairs:
    """Byte-level BPE: text is cut into pieces, inside which tokens are merged."""

    pre: PreTokenizer
    names: Sequence[str] | None = None
    """Every token as the file spells it, if it lists merges."""
    merges: Sequence[str] | None = None
    """Pairs "a b" in GPT-2's alphabet by rank; without them, tokens are merged in the order of their ids."""
    ignore_merges: bool = False
    """Whether a piece that is a token as a whole is taken as it is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SentencePieces:
    """SentencePiece's BPE: characters of the whole text are merged, the pair of the highest score first."""

    scores: Sequence[float]
    byte_ids: Mapping[int, int]
    """Tokens of single bytes, into which a character is cut that is no token."""
    space_prefix: bool
    """Whether a text gets a space in front, which decoding takes away."""
    prefix_after_tokens: bool = True
    """Whether a text behind an added token gets one, too."""
    prefix_before_space: bool = True
    """Whether a text that begins with a space gets one, too."""
    unknown_id: int | None = None
    """Token for a character which is none and whose bytes are none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LibraryTokenizer:
    """A tokenizer.json of another kind, which only the library `tokenizers` can run."""

    content: Mapping[str, Any]
    """The file."""
    space_prefix: bool
    """Whether decoding takes a space away from the beginning of a text."""


@dataclass(frozen=True, kw_only=True)
class Edges:
    """What an added token wants of the text around it (huggingface/tokenizers, added_vocabulary.rs)."""

    lstrip: bool = False
    """Whether it swallows the blanks before it."""
    rstrip: bool = False
    """Whether it swallows the blanks behind it."""
    single_word: bool = False
    """Whether it is only found between words."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """Everything a tokenizer is made of; ids index `tokens`."""

    tokens: Sequence[bytes]
    """Text of every token, for special tokens their name."""
    special: Mapping[str, int]
    """Control tokens by name: they mark structure and never come from a user's text."""
    user_defined: Mapping[str, int]
    """Added tokens which are ordinary text, but never split or merged."""
    algorithm: BytePairs | SentencePieces | LibraryTokenizer
    """How text becomes tokens."""
    bos_id: int | None
    eos_id: int | None
    eot_id: int | None = None
    """Token that ends a turn of a chat, if the file names it."""
    add_bos: bool
    """Whether the model expects `bos_id` in front of every text."""
    stop_ids: frozenset[int]
    """Tokens that end a generation."""
    unused: frozenset[int] = frozenset()
    """Ids that no text has, such as those of rows of the embedding without a token."""
    edges: Mapping[str, Edges] = field(default_factory=dict)
    """Added tokens that want something of the text around them, by name."""
    template_tokens: Mapping[str, Any] = field(default_factory=dict)
    """What chat templates may use beside `bos_token` and `eos_token`: names of tokens by their role, "pad_token"."""
    assumed: tuple[str, ...] = ()
    """What was taken for granted because the file is silent about it, for people."""

    def name(self, id: int | None) -> str:
        """Return the text of a token, "" for None."""
        return "" if id is None else self.tokens[id].decode("utf-8", "replace")
