"""Who may ask: names of hosts, origins of pages, and the key."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from . import page
from .errors import HttpError, error_response

LOCAL_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
_READY_PATHS = frozenset({"/", "/health", "/v1/health"})
"""The page, and whether the server is ready."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may ask."""

    api_key: str | None
    hosts: Collection[str]
    """Names that the server is known by, beside localhost and addresses."""
    origins: Sequence[str]
    """Of pages of others, beside those of this machine; "*" is any."""

    def takes_host(self, host: str) -> bool:
        """Tell whether a Host header is one of ours: a page of others could lead its own name to our address.

        Such a page has no key, so with one any name is fine.
        """
        if self.api_key is not None:
            return True
        name = _name(host)
        return name == "localhost" or name in self.hosts or _is_address(name)

    def takes_origin(self, origin: str, host: str) -> bool:
        """Tell whether pages of an origin may ask; browsers send some requests without asking first."""
        if "*" in self.origins or origin in self.origins or re.fullmatch(LOCAL_ORIGINS, origin):
            return True
        return origin.partition("://")[2] == host

    def takes_key(self, authorization: str) -> bool:
        """Tell whether a header has the key, if one is needed."""
        if self.api_key is None:
            return True
        scheme, _, key = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(key.strip().encode("latin-1"), self.api_key.encode())


class HostGuard:
    """Refuses requests for other hosts, and of pages of others."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            host, origin = headers.get("host", ""), headers.get("origin")
            if not self._access.takes_host(host):
                error = HttpError(403, f"host {host:.100} is not known here; --allow-host adds a name")
                await error_response(error)(scope, receive, send)
                return
            if origin is not None and not self._access.takes_origin(origin, host):
                error = HttpError(403, f"origin {origin:.100} is not allowed; --cors adds one")
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class KeyGuard:
    """Refuses requests without the key."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and not _is_open(scope["path"]):
            given = Headers(scope=scope).get("authorization", "")
            if not self._access.takes_key(given):
                message = "the API key is wrong" if given else "an API key is needed: Authorization: Bearer KEY"
                error = HttpError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_open(path: str) -> bool:
    return path in _READY_PATHS or path.startswith(page.OPEN_PATHS)


def _name(host: str) -> str:
    """Return the name in a Host header, without the port and the brackets of IPv6."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(:\d*)?", host)
    return match[1].strip("[]").lower().rstrip(".") if match else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
