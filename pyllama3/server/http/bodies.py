"""Bodies of requests: read with limits of size and time, and parsed beside the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect, Request

from ...foreign import parse_json
from .answering import ClientGoneError
from .errors import HttpError

MAX_BYTES = 8 << 20
"""Of a body: the longest context is some 500 KB of text, which JSON may write in six times as many bytes."""
_SECONDS = 60.0
"""How long a client may take to send a body."""


async def read_json(request: Request) -> Any:
    """Return what the body of a request says.

    Raises:
        ClientGoneError: the client has left.
        HttpError: it is too long, takes too long, or is not JSON.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > MAX_BYTES:
        raise _too_long()
    try:
        data = await asyncio.wait_for(_read(request), _SECONDS)
    except asyncio.TimeoutError:
        raise HttpError(408, f"the body has not come within {_SECONDS:g} seconds") from None
    except ClientDisconnect:
        raise ClientGoneError from None
    try:
        return await asyncio.to_thread(parse_json, data, strict=True)
    except ValueError as error:
        raise HttpError(400, f"the body is not JSON: {error}") from None


async def _read(request: Request) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BYTES:
            raise _too_long()
    return bytes(data)


def _too_long() -> HttpError:
    return HttpError(413, f"the body has more than {MAX_BYTES} bytes", headers={"Connection": "close"})
