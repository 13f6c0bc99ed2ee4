"""Encoding with a SentencePiece vocabulary, as Llama 2 and the small models of llama2.c have one."""

from __future__ import annotations

import heapq

from .vocabulary import SentencePieces, Vocabulary


class SentencePieceEncoder:
    """Merges the characters of a text: among all neighbours that make a token, always those of the highest score.

    Of equal scores the leftmost counts. Characters that are no token become the tokens of their bytes, as in
    google/sentencepiece (bpe_model.cc) and karpathy/llama2.c (`encode` of run.c).
    """

    def __init__(self, vocabulary: Vocabulary, algorithm: SentencePieces) -> None:
        added = {*vocabulary.special.values(), *vocabulary.user_defined.values(), *algorithm.byte_ids.values()}
        self._ids: dict[str, int] = {}
        for id, token in enumerate(vocabulary.tokens):
            if id not in added:
                self._ids.setdefault(token.decode("utf-8", "replace"), id)
        self._scores = algorithm.scores
        self._byte_ids = algorithm.byte_ids

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text that has no added tokens."""
        pieces = self._merge(text)
        ids: list[int] = []
        for piece in pieces:
            id = self._ids.get(piece)
            ids += [self._byte_ids[byte] for byte in piece.encode("utf-8", "replace")] if id is None else [id]
        return ids

    def _merge(self, text: str) -> list[str]:
        """Cut a text into tokens, and characters that are none.

        `pieces` keeps a merged piece where it begins and "" where its parts were; neighbours are linked lists.
        """
        pieces = list(text)
        count = len(pieces)
        after = list(range(1, count + 1))
        before = list(range(-1, count - 1))
        candidates: list[tuple[float, int, str]] = []

        def consider(left: int, right: int) -> None:
            if left >= 0 and right < count:
                merged = pieces[left] + pieces[right]
                id = self._ids.get(merged)
                if id is not None:
                    heapq.heappush(candidates, (-self._scores[id], left, merged))

        for left in range(count - 1):
            consider(left, left + 1)
        while candidates:
            _, left, merged = heapq.heappop(candidates)
            right = after[left]
            if not pieces[left] or right == count or pieces[left] + pieces[right] != merged:
                continue  # one of the two has been merged with another since
            pieces[left], pieces[right] = merged, ""
            after[left] = after[right]
            if after[left] < count:
                before[after[left]] = left
            consider(before[left], left)
            consider(left, after[left])
        return [piece for piece in pieces if piece]
