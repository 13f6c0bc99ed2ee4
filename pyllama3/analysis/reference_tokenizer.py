"""Byte-pair encoding in plain Python: the independent witness of the tokenizer, written for watching pairs merge.

Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016; with bytes for characters: Radford
et al., "Language Models are Unsupervised Multitask Learners", 2019. It is slow, since each step looks at all pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import regex

from ..errors import OptionError
from ..tokenizer.vocabulary import BytePairs, Vocabulary
from ..tokenizer.vocabulary.byte_level import spell

Pair = tuple[bytes, bytes]
NEVER = math.inf


class ReferenceTokenizer:
    """Cuts a text into pieces and a piece into bytes; of neighbours, those that were learnt first merge first."""

    def __init__(
        self, patterns: Sequence[str], ids: Mapping[bytes, int], ranks: Mapping[Pair, int] | None, takes_whole: bool
    ) -> None:
        """Take the expressions for pieces, the tokens, and the order of merges; without it, the ids are the order.

        `takes_whole` is whether a piece that is a token is not taken apart, as Llama 3 wants it.
        """
        self.patterns, self.ids, self.ranks, self.takes_whole = patterns, ids, ranks, takes_whole

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, all of which is text; a byte that is no token is left out."""
        ids = []
        for piece in self.pieces(text):
            *_, parts = [[piece]] if self.takes_whole and piece in self.ids else self.steps(piece)
            ids += [self.ids[part] for part in parts if part in self.ids]
        return ids

    def pieces(self, text: str) -> list[bytes]:
        """Return the pieces of a text; nothing merges across their ends."""
        pieces = [text]
        for pattern in self.patterns:  # each splits what the one before has left, at its matches, which stay
            pieces = [part for piece in pieces for part in regex.split(f"({pattern})", piece) if part]
        return [piece.encode() for piece in pieces]

    def steps(self, piece: bytes) -> Iterator[list[bytes]]:
        """Yield the parts of a piece: first its bytes, then what is left after each merge."""
        parts = [bytes([byte]) for byte in piece]
        yield parts
        while (best := min(ranks := [self.rank(pair) for pair in pairwise(parts)], default=NEVER)) < NEVER:
            at = ranks.index(best)
            parts = [*parts[:at], parts[at] + parts[at + 1], *parts[at + 2 :]]
            yield parts

    def rank(self, pair: Pair) -> float:
        """Return when a pair merges, the lowest first."""
        return self.ids.get(pair[0] + pair[1], NEVER) if self.ranks is None else self.ranks.get(pair, NEVER)


def reference_tokenizer(vocabulary: Vocabulary) -> ReferenceTokenizer:
    """Return the reference over the vocabulary of a model.

    Raises:
        OptionError: the vocabulary is not one of byte pairs.
    """
    algorithm = vocabulary.algorithm
    if not isinstance(algorithm, BytePairs):
        raise OptionError("the vocabulary is one of SentencePiece, which merges characters; supported: byte pairs")
    added = {*vocabulary.special.values(), *vocabulary.user_defined.values()}
    ids = {token: id for id, token in enumerate(vocabulary.tokens) if id not in added}
    if algorithm.merges is None:
        return ReferenceTokenizer(algorithm.pre.patterns, ids, None, takes_whole=True)
    spelled = {spell(token): token for token in ids}
    pairs = (merge.split(" ") for merge in algorithm.merges)
    ranks = {(spelled[left], spelled[right]): rank for rank, (left, right) in enumerate(pairs)}
    return ReferenceTokenizer(algorithm.pre.patterns, ids, ranks, algorithm.ignore_merges)
