"""Refusals in OpenAI's form."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ...errors import BusyError, PyLlama3Error
from ...files import json_bytes
from ..answers import error_body, error_status

_log = logging.getLogger("pyllama3.server")


class HttpError(Exception):
    """A request is refused with a status of its own."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with a body in JSON."""
    return Response(json_bytes(body), status, headers, media_type="application/json")


def error_response(error: Exception) -> Response:
    """Return the response to a request that fails."""
    if isinstance(error, HttpError):
        kind = "server_error" if error.status >= 500 else "invalid_request_error"
        body = {"error": {"message": str(error), "type": kind, "param": None, "code": error.code}}
        return json_response(body, error.status, error.headers)
    if not isinstance(error, PyLlama3Error):
        report(error)
    headers = {"Retry-After": "1"} if isinstance(error, BusyError) else None
    return json_response(error_body(error), error_status(error), headers)


def report(error: Exception) -> None:
    """Log where a fault of ours happened, without its text: that may hold a prompt."""
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    places = [f"{place.filename}:{place.lineno}" for place in frame]
    _log.error("internal error: %s in %s", type(error).__name__, ", ".join(places))


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Put into OpenAI's form what starlette refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        message = f"{request.url.path:.200}: there is no such endpoint; GET /v1/models is one"
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"{request.method} {request.url.path:.200}: allowed: {allowed}"
    else:
        message = error.detail
    return error_response(HttpError(error.status_code, message, headers=error.headers))
