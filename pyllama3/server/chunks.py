"""Streamed answers in the form of OpenAI's API: the chunks that the pieces of texts become."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..generation.generation import Piece
from ..tokenizer.tokenizer import Tokenizer
from .answers import finish_reason, frame, logprobs, tool_call, usage
from .protocol import CHAT, Request
from .tools.reader import CallReader


class ChunkWriter:
    """Makes the chunks of one answer."""

    def __init__(self, request: Request, tokenizer: Tokenizer) -> None:
        self._request = request
        self._tokenizer = tokenizer
        self._frame = frame(request, chunk=True)
        self._lasts: dict[int, Piece] = {}
        self._lengths = [0] * request.texts
        """Characters of each text so far."""
        self._readers: list[CallReader] = []
        if request.tools is not None:
            names, several = request.tools.schemas, request.tools.several
            self._readers = [CallReader(names, several=several) for _ in range(request.texts)]

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
        request = self._request
        ended = piece.stats.finish_reason is not None
        deltas = list(self._deltas(index, piece.text, ended))
        extra: dict[str, Any] = {"token_ids": [piece.id]} if request.return_token_ids else {}
        if request.logprobs:
            extra["logprobs"] = logprobs(request, self._tokenizer, [piece], self._lengths[index])
        self._lengths[index] += len(piece.text)
        if extra and not deltas:
            deltas = [self._delta("")]
        for delta in deltas:
            yield self._chunk(index, delta, **extra)
            extra = {}
        if ended:
            self._lasts[index] = piece
            calls = self._readers[index].found if self._readers else 0
            empty: Any = {} if request.url == CHAT else ""
            yield self._chunk(index, empty, finish_reason=finish_reason(piece, calls))

    def _deltas(self, index: int, text: str, ended: bool) -> Iterator[Any]:
        """Yield what becomes of a text: itself, and calls in it."""
        if not self._readers:
            if text:
                yield self._delta(text)
            return
        reader = self._readers[index]
        number = reader.found
        for item in [*reader.feed(text), *(reader.flush() if ended else ())]:
            if isinstance(item, str):
                yield self._delta(item)
            else:
                yield {"tool_calls": [{"index": number, **tool_call(item)}]}
                number += 1

    def _delta(self, text: str) -> Any:
        return {"content": text} if self._request.url == CHAT else text

    def end(self) -> Iterator[dict[str, Any]]:
        """Yield what comes after the last piece of all texts."""
        if self._request.include_usage:
            lasts = [self._lasts[index] for index in range(self._request.texts)]
            yield {**self._frame, "choices": [], "usage": usage(self._request, lasts)}

    def _chunk(self, index: int, content: Any, *, finish_reason: str | None = None, **extra: Any) -> dict[str, Any]:
        name = "delta" if self._request.url == CHAT else "text"
        choice = {"index": index, name: content, "logprobs": None, "finish_reason": finish_reason, **extra}
        chunk = {**self._frame, "choices": [choice]}
        return {**chunk, "usage": None} if self._request.include_usage else chunk
