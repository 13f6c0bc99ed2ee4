"""Encoding with a byte-level BPE vocabulary by its list of merges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import regex

from .encoder import Before
from .merging import merge
from .vocabulary import BytePairs, Vocabulary
from .vocabulary.byte_level import spell

_MOST_KEPT = 1 << 16
_LONGEST_KEPT = 64


class MergeListEncoder:
    """Cuts text into pieces, and merges in each the neighbours that stand first in the list.

    This is what any list of merges asks for; `BytePairEncoder` is faster, where the order of ids says the same.
    A byte that is not a token is left out, as llama.cpp and `tokenizers` do.
    """

    def __init__(self, vocabulary: Vocabulary, algorithm: BytePairs) -> None:
        merges = algorithm.merges or ()
        added = {*vocabulary.special.values(), *vocabulary.user_defined.values()} | vocabulary.unused
        self._ids = {name: id for id, name in enumerate(algorithm.names or ()) if id not in added}
        self._ranks = {pair: rank for rank, pair in reversed(list(enumerate(merges)))}  # of twins the first counts
        self._ignores_merges = algorithm.ignore_merges
        self._patterns = [regex.compile(pattern) for pattern in algorithm.pre.patterns]
        self._known: dict[str, Sequence[int]] = {}

    def encode(self, text: str, before: Before) -> list[int]:
        """Return the ids of a text that has no added tokens."""
        pieces: Iterator[str] = iter([text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")])
        for pattern in self._patterns:
            pieces = _cut(pattern, pieces)
        return [id for piece in pieces for id in self._piece_ids(piece)]

    def _piece_ids(self, piece: str) -> Sequence[int]:
        ids = self._known.get(piece)
        if ids is None:
            name = spell(piece.encode())
            whole = self._ids.get(name) if self._ignores_merges else None
            ids = [whole] if whole is not None else self._merge(name)
            if len(self._known) < _MOST_KEPT and len(piece) < _LONGEST_KEPT:
                self._known[piece] = ids
        return ids

    def _merge(self, name: str) -> list[int]:
        ranks, ids = self._ranks, self._ids
        parts = merge(name, lambda left, right: ranks.get(f"{left} {right}"))
        # what was merged to no token falls apart, and what then is none is left out
        return [ids[token] for part in parts for token in ([part] if part in ids else part) if token in ids]


def _cut(pattern: regex.Pattern[str], pieces: Iterator[str]) -> Iterator[str]:
    """Cut pieces at the matches of a pattern, which become pieces, too."""
    for piece in pieces:
        start = 0
        for match in pattern.finditer(piece):
            begin, end = match.span()
            if begin == end:
                continue
            if start < begin:
                yield piece[start:begin]
            yield piece[begin:end]
            start = end
        if start < len(piece):
            yield piece[start:]
