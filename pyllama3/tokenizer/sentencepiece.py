"""Encoding with a SentencePiece vocabulary, as Llama 2 and the small models of llama2.c have one."""

from __future__ import annotations

from collections.abc import Iterator

from .encoder import Before
from .merging import merge
from .vocabulary import SentencePieces, Vocabulary


class SentencePieceEncoder:
    """Merges the characters of a text: among all neighbours that make a token, always those of the highest score.

    Of equal scores the leftmost counts. Characters that are no token become the tokens of their bytes, as in
    google/sentencepiece (bpe_model.cc) and karpathy/llama2.c (`encode` of run.c).
    """

    def __init__(self, vocabulary: Vocabulary, algorithm: SentencePieces) -> None:
        added = {*vocabulary.special.values(), *vocabulary.user_defined.values(), *algorithm.byte_ids.values()}
        added |= vocabulary.unused
        self._ids: dict[str, int] = {}
        for id, token in enumerate(vocabulary.tokens):
            if id not in added:
                self._ids.setdefault(token.decode("utf-8", "replace"), id)
        self._scores = algorithm.scores
        self._byte_ids = algorithm.byte_ids
        self._unknown_id = algorithm.unknown_id
        prefixed: list[Before] = ["nothing", "token"] if algorithm.prefix_after_tokens else ["nothing"]
        self._doubles = algorithm.prefix_before_space
        self._prefixed = prefixed if algorithm.space_prefix else []

    def encode(self, text: str, before: Before) -> list[int]:
        """Return the ids of a text that has no added tokens."""
        prefix = " " if before in self._prefixed and (self._doubles or not text.startswith(" ")) else ""
        pieces = merge(prefix + text, self._rank)
        return [id for piece in pieces for id in self._piece_ids(piece)]

    def _rank(self, left: str, right: str) -> float | None:
        id = self._ids.get(left + right)
        return None if id is None else -self._scores[id]

    def _piece_ids(self, piece: str) -> Iterator[int]:
        id = self._ids.get(piece)
        if id is not None:
            yield id
            return
        for byte in piece.encode("utf-8", "replace"):
            byte_id = self._byte_ids.get(byte, self._unknown_id)
            if byte_id is not None:
                yield byte_id
