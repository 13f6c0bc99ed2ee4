"""Encoding with a byte-level BPE vocabulary, by tiktoken."""

from __future__ import annotations

import re
from collections.abc import Iterator

import tiktoken

from ..errors import TokenizerError
from .vocabulary import BytePairs, Vocabulary

_MAX_CHARACTERS = 400_000
_MAX_RUN = 25_000
"""Longest text and longest run of only (non-)whitespace given to tiktoken at once: the limits of
models/llama3/tokenizer.py in meta-llama/llama-models. On a million spaces tiktoken 0.14 overflows its stack."""


class BytePairEncoder:
    """Cuts text into pieces and merges the bytes of each to tokens.

    tiktoken takes a piece of text that is a token as a whole (as Llama 3 asks for: "ignore_merges"), else it
    merges the pair whose product has the lowest id, whether or not that pair is in a list of merges. Llama 3's list
    was made from the ids, so both ways agree. SmolLM2's list is the order in which its tokens were learnt: there they
    agree because the ids are in the order of the merges (checked when the vocabulary is read) and because every token
    is what its own text is merged to (checked in tests/tokenizer/test_tokenizer.py). If so, any pair that tiktoken
    merges without it being listed could not have stood there: merging inside it would have come to the listed pair
    first. No difference to Hugging Face `tokenizers` was found in a million texts for either model: every token, all of
    Unicode, code, random texts.

    A byte that is not a token (SmolLM2 lacks some control characters) is left out, as llama.cpp does.
    """

    def __init__(self, vocabulary: Vocabulary, algorithm: BytePairs) -> None:
        """Prepare tiktoken.

        Raises:
            TokenizerError: the vocabulary has no normal tokens.
        """
        added = {*vocabulary.special.values(), *vocabulary.user_defined.values()}
        ranks = {token: id for id, token in enumerate(vocabulary.tokens) if id not in added}
        if not ranks:
            raise TokenizerError("the vocabulary has no normal tokens")
        self._vocab_size = len(vocabulary.tokens)
        bytes_left_out = [byte for byte in range(256) if bytes([byte]) not in ranks]
        # tiktoken must find every byte: the ids of these are beyond the vocabulary, and `encode` drops them.
        ranks |= {bytes([byte]): self._vocab_size + byte for byte in bytes_left_out}
        self._drops_bytes = bool(bytes_left_out)
        self._encoding = tiktoken.Encoding(
            "pyllama3", pat_str=algorithm.pattern, mergeable_ranks=ranks, special_tokens={}
        )

    def encode(self, text: str) -> list[int]:
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
