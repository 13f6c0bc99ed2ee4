"""Streams of server-sent events (html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...errors import PyLlama3Error
from ...files import json_bytes
from ..answers import error_body
from .answering import leaving
from .errors import report

PING_SECONDS = 10.0
"""How long a stream is silent at most: programs between us and the client close silent connections."""
_PING = b": ping\n\n"
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

DONE = b"data: [DONE]\n\n"


def event(data: Any, *, name: str | None = None) -> bytes:
    """Return an event whose data is JSON."""
    prefix = b"" if name is None else b"event: " + name.encode() + b"\n"
    return prefix + b"data: " + json_bytes(data) + b"\n\n"


class EventStream(Response):
    """Sends events as they come, comments while none come, and an error if one ends them."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, events: AsyncIterator[bytes], resources: ExitStack) -> None:
        """Stream events; `resources` are closed when the stream ends or the client leaves."""
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._request = request
        self._events = events
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        gone = asyncio.ensure_future(leaving(self._request))
        sending = asyncio.ensure_future(self._send(send))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._resources.close()
            for task in (gone, sending):
                task.cancel()
            await asyncio.gather(gone, sending, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        waiting: asyncio.Future[bytes | None] | None = None
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(self._events, None))
                await asyncio.wait({waiting}, timeout=PING_SECONDS)
                if not waiting.done():
                    await send(_body(_PING))
                    continue
                data = waiting.result()
                if data is None:
                    break
                await send(_body(data))
                waiting = None
        except Exception as error:
            if not isinstance(error, PyLlama3Error):
                report(error)
            await send(_body(event(error_body(error))))
        finally:
            if waiting is not None:
                waiting.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _body(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}
