"""Streamed answers in the form of OpenAI's API: the chunks that the pieces of texts become."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..generation.generation import Piece
from ..tokenizer.tokenizer import Tokenizer
from .answers import finish_reason, frame, logprobs, usage
from .protocol import CHAT, Request


class ChunkWriter:
    """Makes the chunks of one answer."""

    def __init__(self, request: Request, tokenizer: Tokenizer) -> None:
        self._request = request
        self._tokenizer = tokenizer
        self._frame = frame(request, chunk=True)
        self._texts: list[list[Piece]] = [[] for _ in range(request.texts)]
        self._lengths = [0] * request.texts
        """Characters of each text so far."""

    def begin(self) -> Iterator[dict[str, Any]]:
        """Yield what comes before the first piece of each text."""
        for index in range(self._request.texts):
            prompt = index // self._request.count
            echo = self._request.echo[prompt]
            extra: dict[str, Any] = {}
            if self._request.return_token_ids:
                extra = {"prompt_token_ids": self._request.prompts[prompt], "token_ids": []}
            if self._request.url == CHAT:
                yield self._chunk(index, {"role": "assistant", "content": ""}, **extra)
            elif echo or extra:
                self._lengths[index] = len(echo)
                yield self._chunk(index, echo, **extra)

    def piece(self, index: int, piece: Piece) -> Iterator[dict[str, Any]]:
        """Yield what a piece of a text becomes, and what ends the text."""
        request, pieces = self._request, self._texts[index]
        pieces.append(piece)
        if piece.text or request.logprobs or request.return_token_ids:
            extra: dict[str, Any] = {"token_ids": [piece.id]} if request.return_token_ids else {}
            extra["logprobs"] = logprobs(request, self._tokenizer, [piece], self._lengths[index])
            self._lengths[index] += len(piece.text)
            yield self._chunk(index, {"content": piece.text} if request.url == CHAT else piece.text, **extra)
        if piece.stats.finish_reason:
            empty: Any = {} if request.url == CHAT else ""
            yield self._chunk(index, empty, finish_reason=finish_reason(pieces))

    def end(self) -> Iterator[dict[str, Any]]:
        """Yield what comes after the last piece of all texts."""
        if self._request.include_usage:
            yield {**self._frame, "choices": [], "usage": usage(self._request, self._texts)}

    def _chunk(self, index: int, content: Any, *, finish_reason: str | None = None, **extra: Any) -> dict[str, Any]:
        name = "delta" if self._request.url == CHAT else "text"
        choice = {"index": index, name: content, "logprobs": None, "finish_reason": finish_reason, **extra}
        chunk = {**self._frame, "choices": [choice]}
        return {**chunk, "usage": None} if self._request.include_usage else chunk
