"""URLs: without passwords for people, and in ASCII, with passwords apart, for servers."""

from __future__ import annotations

import base64
import re
import string
from urllib.parse import quote, unquote, urlsplit

from ..errors import StoreError

_USER = re.compile(r"(?<=://)[^/?#]*@")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def without_password(ref: str) -> str:
    """Return a reference to a model as it may be shown: without user and password, if it is a URL that has them."""
    return _USER.sub("", ref)


def address_and_credentials(url: str) -> tuple[str, str | None]:
    """Return a URL as it is asked for, in ASCII and without a user, and the header that stands for user and password.

    Raises:
        StoreError: it is not a URL.
    """
    match = _USER.search(url)
    address = without_password(url)
    try:
        host = urlsplit(address).hostname or ""
        if not host.isascii():
            address = address.replace(host, host.encode("idna").decode(), 1)
    except ValueError as error:
        raise StoreError(f"{address}: {error}") from error
    address = quote(address, safe=string.punctuation)
    if match is None:
        return address, None
    credentials = base64.b64encode(unquote(match[0].removesuffix("@")).encode()).decode()
    return address, f"Basic {credentials}"


def check_scheme(url: str) -> None:
    """Let https pass, and http from this machine.

    Raises:
        StoreError: anything else.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise StoreError(f"{without_password(url)}: {error}") from error
    is_local = parts.scheme == "http" and parts.hostname in LOCAL_HOSTS
    if not parts.hostname or not (parts.scheme == "https" or is_local):
        raise StoreError(f"{without_password(url)}: only https is downloaded")
