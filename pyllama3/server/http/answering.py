"""Texts that the worker makes, for requests that wait for them: a client that leaves ends its texts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from types import TracebackType
from typing import Any, TypeVar

from starlette.requests import Request

from ...generation.generation import Generation, Piece
from ..service import Service

_T = TypeVar("_T")


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class Texts:
    """The texts of one request. Leaving the context ends those that are not finished."""

    def __init__(self, service: Service, generations: Sequence[Generation], *, logprobs: bool = False) -> None:
        """Prepare texts, whose pieces come with `logprobs` that have been computed."""
        self._logprobs = logprobs
        self._service = service
        self._generations = generations
        self._events: asyncio.Queue[tuple[int, Piece | Exception]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._started = time.monotonic()

    def __enter__(self) -> Texts:
        """Queue the texts.

        Raises:
            BusyError: there are too many.
        """
        try:
            for index, generation in enumerate(self._generations):
                self._service.worker.submit(generation, self._deliver(index))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for generation in self._generations:
            if not generation.finished:
                self._service.worker.cancel(generation)

    async def pieces(self) -> AsyncIterator[tuple[int, Piece]]:
        """Yield the pieces of all texts, each with the number of its text.

        Raises:
            Exception: what has ended a text.
        """
        metrics, left = self._service.metrics, len(self._generations)
        while left:
            index, piece = await self._events.get()
            if isinstance(piece, Exception):
                raise piece
            if piece.stats.tokens == 1:
                prompt_tokens = self._generations[index].prompt_length
                metrics.first_token.observe(time.monotonic() - self._started)
                metrics.prompt_tokens.inc(prompt_tokens)
                metrics.cached_tokens.inc(prompt_tokens - piece.stats.prompt_tokens)
            metrics.tokens.inc()
            left -= piece.stats.finish_reason is not None
            yield index, piece

    async def all(self) -> list[list[Piece]]:
        """Wait for all texts.

        Raises:
            Exception: what has ended one.
        """
        texts: list[list[Piece]] = [[] for _ in self._generations]
        async for index, piece in self.pieces():
            texts[index].append(piece)
        return texts

    def _deliver(self, index: int) -> Any:
        def deliver(piece: Piece | Exception) -> None:
            if self._logprobs and isinstance(piece, Piece):
                _ = piece.logprob  # here: they belong to the worker's thread
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._events.put_nowait, (index, piece))

        return deliver


async def while_connected(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """Return what a coroutine returns, and cancel it when the client leaves.

    Raises:
        ClientGoneError: it has left.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(leaving(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGoneError
    finally:
        for one in (task, gone):
            one.cancel()


async def leaving(request: Request) -> None:
    """Wait until the client of a request, whose body has been read, leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
