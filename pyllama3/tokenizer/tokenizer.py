"""Text to token ids and back, with the vocabulary of the model."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..arguments import file_path, flag, instance, integer, items, shown
from ..arguments import text as checked_text
from ..errors import TokenizerError
from .added_tokens import AddedTokens
from .byte_pairs import BytePairEncoder, are_merged_by_id
from .encoder import Before, Encoder
from .sentencepiece import SentencePieceEncoder
from .vocabulary import BytePairs, LibraryTokenizer, Vocabulary, read_gguf_vocabulary
from .vocabulary.meta import read_tokenizer_model


class Tokenizer:
    """Text to tokens and back, with a vocabulary of any kind."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Prepare encoding.

        Raises:
            TokenizerError: the vocabulary has no normal tokens, or what it needs is not installed.
        """
        self._vocabulary = vocabulary
        self._special_ids = frozenset(vocabulary.special.values()) | vocabulary.unused
        self._special = AddedTokens(vocabulary.special, vocabulary.edges)
        algorithm = vocabulary.algorithm
        # the library looks for these by itself
        found = {} if isinstance(algorithm, LibraryTokenizer) else vocabulary.user_defined
        self._user_defined = AddedTokens(found, vocabulary.edges)
        self._prefix = " " if not isinstance(algorithm, BytePairs) and algorithm.space_prefix else ""
        self._encoder = _find_encoder(vocabulary)

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> Tokenizer:
        """Make the tokenizer of a GGUF file.

        Raises:
            TokenizerError: the vocabulary is missing, damaged, or of an unsupported kind.
        """
        return cls(read_gguf_vocabulary(metadata))

    @classmethod
    def from_tokenizer_model(cls, path: Path | str) -> Tokenizer:
        """Make the tokenizer of Meta's tokenizer.model of Llama 3.

        Raises:
            TokenizerError: the file cannot be read or is damaged.
        """
        return cls(read_tokenizer_model(file_path("the path", path)))

    @property
    def vocab_size(self) -> int:
        """Number of tokens, special ones included."""
        return len(self._vocabulary.tokens)

    @property
    def bos_id(self) -> int | None:
        """Token that begins a text, if there is one."""
        return self._vocabulary.bos_id

    @property
    def add_bos(self) -> bool:
        """Whether the model expects `bos_id` in front of every text; `encode` leaves that to the caller."""
        return self._vocabulary.add_bos

    @property
    def eos_id(self) -> int | None:
        """Token that ends a text, if there is one."""
        return self._vocabulary.eos_id

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end a generation: end of text, of a turn, of a message."""
        return self._vocabulary.stop_ids

    @property
    def special_names(self) -> Collection[str]:
        """Names of the special tokens, such as <|eot_id|>."""
        return self._special.names

    def has_tokens_of(self, other: Tokenizer) -> bool:
        """Tell whether the same ids mean the same tokens in another tokenizer."""
        other = instance("the other tokenizer", other, Tokenizer, "a Tokenizer")
        ours, theirs = self._vocabulary, other._vocabulary
        return list(ours.tokens) == list(theirs.tokens) and dict(ours.special) == dict(theirs.special)

    def encode(self, text: str, *, special: bool = False, continues: bool = False) -> list[int]:
        """Return the ids of a text, without a BOS.

        With `continues`, no space is put in front of it, as SentencePiece does at the beginning of a text.
        With `special`, names such as <|eot_id|> become the special tokens; otherwise they are text like any other.
        Characters that are half of a surrogate pair are taken as U+FFFD.
        """
        given = checked_text("the text", text)
        is_special, is_part = flag("special", special), flag("continues", continues)
        return self.encode_parts(self.split_special(given) if is_special else [given], continues=is_part)

    def encode_parts(self, parts: Iterable[str | int], *, continues: bool = False) -> list[int]:
        """Return the ids of a text of which the special tokens are known: parts are their ids, and what is between."""
        ids: list[int] = []
        before: Before = "text" if continues else "nothing"
        for part in parts:
            if isinstance(part, int):
                ids.append(part)
                before = "token"
                continue
            for piece in self._user_defined.split(part):
                if isinstance(piece, int):
                    ids.append(piece)
                    before = "token"
                else:
                    ids += self._encoder.encode(piece, before)
                    before = "text"
        return ids

    def encode_prompt(self, text: str, *, special: bool = True) -> list[int]:
        """Return the ids of a text to continue, with a BOS if the model expects one.

        Names such as <|eot_id|> are the special tokens, as whoever writes a prompt means them, unless `special` is
        false.
        """
        return self.with_bos(self.encode(text, special=special))

    def with_bos(self, ids: list[int]) -> list[int]:
        """Return ids that begin with a BOS, if the model expects one; one that is there already is enough."""
        if not self.add_bos or self.bos_id is None or ids[:1] == [self.bos_id]:
            return ids
        return [self.bos_id, *ids]

    def split_special(self, text: str) -> Iterator[str | int]:
        """Cut a text at the names of special tokens: yields the ids of these, and the text between them."""
        return self._special.split(text)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of some ids, with U+FFFD for what is not UTF-8.

        The space that SentencePiece puts in front of a text is taken away.

        Raises:
            TokenizerError: an id is not in the vocabulary.
        """
        text = b"".join(map(self.token_bytes, items("the tokens", ids, "token ids"))).decode("utf-8", "replace")
        return text.removeprefix(self._prefix)

    def token_bytes(self, id: int) -> bytes:
        """Return the bytes of one token, which may be an incomplete character.

        Raises:
            TokenizerError: the id is not in the vocabulary.
        """
        if not 0 <= (index := integer("the token", id)) < self.vocab_size:
            raise TokenizerError(f"there is no token {shown(id)}; allowed: 0 to {self.vocab_size - 1}")
        return self._vocabulary.tokens[index]

    def token_name(self, id: int) -> str:
        r"""Return one token for display: on one line, bytes that are not characters as \x.., control characters as \n.

        Raises:
            TokenizerError: the id is not in the vocabulary.
        """
        text = self.token_bytes(id).decode("utf-8", "backslashreplace")
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

    def is_special(self, id: int) -> bool:
        """Tell whether a token marks structure and is not text."""
        return integer("the token", id) in self._special_ids


class StreamDecoder:
    """Decodes token by token, holding back the bytes of a character until it is complete."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, id: int) -> str:
        """Return the text that a token completes, which may be empty.

        Raises:
            TokenizerError: the id is not in the vocabulary.
        """
        return self._utf8.decode(self._tokenizer.token_bytes(id))

    def flush(self) -> str:
        """Return what is left at the end of a text: U+FFFD if its last character is incomplete."""
        return self._utf8.decode(b"", final=True)


def _find_encoder(vocabulary: Vocabulary) -> Encoder:
    algorithm = vocabulary.algorithm
    if isinstance(algorithm, BytePairs):
        if algorithm.merges is None or are_merged_by_id(vocabulary, algorithm.merges):
            return BytePairEncoder(vocabulary, algorithm)
        from .merge_list import MergeListEncoder

        return MergeListEncoder(vocabulary, algorithm)
    if isinstance(algorithm, LibraryTokenizer):
        from .library import LibraryEncoder

        return LibraryEncoder(algorithm)
    return SentencePieceEncoder(vocabulary, algorithm)
