"""Whether downloads are allowed, and whether there is a network for them."""

from __future__ import annotations

import os

from ..errors import StoreError

OFFLINE = "PYLLAMA3_OFFLINE"
"""The environment variable that forbids downloads; --offline sets it."""


def is_offline() -> bool:
    """Tell whether downloads are forbidden."""
    return os.environ.get(OFFLINE, "0") not in ("", "0")


def check_online(ref: str) -> None:
    """Let pass what may be downloaded.

    Raises:
        StoreError: downloads are forbidden.
    """
    if is_offline():
        raise StoreError(f"{ref}: not on this machine, and --offline (${OFFLINE}) forbids to download it")


def no_network(ref: str, detail: object) -> StoreError:
    """Return the error for a download that finds no network."""
    return StoreError(f"{ref}: cannot be downloaded: there is no network, or no way to its server ({detail})")


def check_name(ref: str, host: str) -> None:
    """Look a server up, which tells at once what libraries tell after many attempts; a proxy does that by itself.

    Raises:
        StoreError: its name cannot be found.
    """
    # imported here, since a model that is on this machine does not wait for them
    import socket
    import urllib.request

    if urllib.request.getproxies():
        return
    try:
        socket.getaddrinfo(host, 443)
    except socket.gaierror as error:
        raise no_network(ref, f"{host}: {error.strerror}") from error
