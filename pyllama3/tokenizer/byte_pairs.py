"""Encoding with a byte-level BPE vocabulary, by tiktoken."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

import tiktoken

from ..errors import TokenizerError
from .encoder import Before
from .string_array import StringArray
from .vocabulary import BytePairs, Vocabulary

_MAX_CHARACTERS = 400_000
_MAX_RUN = 25_000
"""Longest text and longest run of only (non-)whitespace given to tiktoken at once: the limits of
models/llama3/tokenizer.py in meta-llama/llama-models. On a million spaces tiktoken 0.14 overflows its stack."""


_MERGED_BY_ID: dict[str, str] = {
    "a5345a17fe54e8e04930cd165b4c21d5": "Llama 3",
    "253f52b528fdf2bb8b68704dcaa93052": "SmolLM",
}
"""Digests of normal tokens and merges, see `are_merged_by_id`."""


def are_merged_by_id(vocabulary: Vocabulary, merges: Sequence[str]) -> bool:
    """Tell whether a vocabulary is one of those whose list of merges says no more than the order of the ids.

    Llama 3's list was made from the ids and has every pair that makes a token. SmolLM's is the order in which its
    tokens were learnt, which is that of the ids, and each token is what its own text is merged to (tests/tokenizer
    check both). Then a pair that is merged without being listed could not have stood there: merging inside it would
    have come to the listed pair first.

    Other vocabularies, also these when they were extended, are merged by their list.
    """
    digest = hashlib.blake2b(digest_size=16)
    added = {*vocabulary.special.values(), *vocabulary.user_defined.values()} | vocabulary.unused
    digest.update(b"\0".join(token for id, token in enumerate(vocabulary.tokens) if id not in added))
    joined = merges.joined() if isinstance(merges, StringArray) else "\0".join(merges)
    digest.update(joined.encode("utf-8", "replace"))
    return digest.hexdigest() in _MERGED_BY_ID


class BytePairEncoder:
    """Cuts text into pieces and merges the bytes of each to tokens.

    tiktoken takes a piece of text that is a token as a whole (as Llama 3 asks for: "ignore_merges"), else it
    merges the pair whose product has the lowest id, whether or not that pair is in a list of merges.

    A byte that is not a token (SmolLM2 lacks some control characters) is left out, as llama.cpp does.
    """

    def __init__(self, vocabulary: Vocabulary, algorithm: BytePairs) -> None:
        """Prepare tiktoken.

        Raises:
            TokenizerError: the vocabulary has no normal tokens, or pieces are cut in several steps.
        """
        pattern = algorithm.pre.in_one
        if pattern is None:
            raise TokenizerError("the pieces of a text are not those of one regular expression")
        added = {*vocabulary.special.values(), *vocabulary.user_defined.values()} | vocabulary.unused
        ranks = {token: id for id, token in enumerate(vocabulary.tokens) if id not in added}
        if not ranks:
            raise TokenizerError("the vocabulary has no normal tokens")
        self._vocab_size = len(vocabulary.tokens)
        bytes_left_out = [byte for byte in range(256) if bytes([byte]) not in ranks]
        # tiktoken must find every byte: the ids of these are beyond the vocabulary, and `encode` drops them.
        ranks |= {bytes([byte]): self._vocab_size + byte for byte in bytes_left_out}
        self._drops_bytes = bool(bytes_left_out)
        self._encoding = tiktoken.Encoding("pyllama3", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})

    def encode(self, text: str, before: Before) -> list[int]:
        """Return the ids of a text that has no added tokens."""
        ids: list[int] = []
        for section in _split_long(text):
            ids += self._encoding.encode_ordinary(section)
        return [id for id in ids if id < self._vocab_size] if self._drops_bytes else ids


def _split_long(text: str) -> Iterator[str]:
    for start in range(0, len(text), _MAX_CHARACTERS):
        section = text[start : start + _MAX_CHARACTERS]
        cut = 0
        if len(section) > _MAX_RUN:
            for run in re.finditer(r"\s+|\S+", section):
                for end in range(run.start() + _MAX_RUN, run.end(), _MAX_RUN):
                    yield section[cut:end]
                    cut = end
        yield section[cut:]
