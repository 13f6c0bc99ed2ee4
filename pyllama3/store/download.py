"""Downloads over https that resume, and files that appear under their name only when they are complete."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from ..errors import StoreError
from ..files import beside, exclusive

Progress = Callable[[int, int | None], object]
"""Receives the bytes done so far and, where known, the bytes in all."""

CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def download(url: str, target: Path, *, sha256: str | None = None, progress: Progress | None = None) -> None:
    """Download `url` to `target`, unless it is there.

    The bytes are collected in `target` + ".part"; an interrupted download goes on from there, provided that the server
    can tell that the file is still the same, and starts again otherwise.

    Raises:
        StoreError: the URL is not https, the server or the disk fails, or the SHA-256 is not `sha256`.
    """
    check_scheme(url)
    part = beside(target, ".part")
    with exclusive(target):
        if target.exists():
            return
        try:
            receive(url, part, progress)
        except HTTPError as error:
            error.close()
            raise StoreError(f"{url}: the server answers {error.code} {error.reason}") from error
        except URLError as error:
            raise StoreError(f"{url}: cannot be reached: {error.reason}") from error
        except (HTTPException, ConnectionError, TimeoutError) as error:
            raise StoreError(f"{url}: transfer broken off: {str(error) or repr(error)}; run again to resume") from error
        except OSError as error:
            raise StoreError(f"{url}: cannot be saved as {part}: {error.strerror or error}") from error
        publish(part, target, sha256, url)


def receive(url: str, part: Path, progress: Progress | None) -> None:
    """Fill `part` with the bytes of `url`, continuing what is there where that is safe.

    Raises:
        OSError, HTTPException: the connection or the disk fails.
        StoreError: fewer bytes came than were announced.
    """
    state = beside(part, ".version")
    done = part.stat().st_size if part.exists() else 0
    version = state.read_text(encoding="utf-8") if done and state.exists() else ""
    continued = resume(url, done, version) if version else None
    with continued or request(url) as response:
        if response.status != 206:
            # In this order: a version must never stand beside bytes of another one.
            part.unlink(missing_ok=True)
            state.write_text(version_of(response.headers), encoding="utf-8")
            done = 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with part.open("ab") as file:
            while True:
                if progress:
                    progress(done, total)
                chunk = response.read(CHUNK)
                if not chunk:
                    break
                file.write(chunk)
                done += len(chunk)
    if total is not None and done < total:
        raise StoreError(f"{url}: transfer broken off after {done} of {total} bytes; run again to resume")
    state.unlink()


def request(url: str, **headers: str) -> HTTPResponse:
    """Open a URL; underscores in the names of headers stand for hyphens."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response: HTTPResponse = OPENER.open(urllib.request.Request(url, headers=names), timeout=TIMEOUT)
    return response


def resume(url: str, done: int, version: str) -> HTTPResponse | None:
    """Ask for the bytes from `done` on, or for the whole file if it is no longer `version` (RFC 9110, section 13.1.5).

    Returns None when the server does neither.
    """
    try:
        response = request(url, Range=f"bytes={done}-", If_Range=version)
    except HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        return None
    as_asked = response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
    if response.status == 206 and not (as_asked and version_of(response.headers) in (version, "")):
        response.close()
        return None
    return response


def version_of(headers: HTTPMessage) -> str:
    """Return what identifies this version of a file: a strong entity tag, else the date, else nothing."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def publish(part: Path, target: Path, sha256: str | None, source: str) -> None:
    """Give a complete file its final name.

    Raises:
        StoreError: its SHA-256 is not `sha256`; the file is removed.
    """
    with part.open("r+b") as file:
        if sha256:
            found = digest(file)
            if found != sha256.lower():
                file.close()
                part.unlink()
                raise StoreError(f"{source}: SHA-256 is {found}, expected {sha256}; the file was removed")
        # The name must not reach the disk before the bytes do.
        os.fsync(file.fileno())
    os.replace(part, target)


def digest(file: IO[bytes]) -> str:
    """Return the SHA-256 of an open file in hexadecimal."""
    result = hashlib.sha256()
    while chunk := file.read(CHUNK):
        result.update(chunk)
    return result.hexdigest()


def check_scheme(url: str) -> None:
    """Let https pass, and http from this machine.

    Raises:
        StoreError: anything else.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise StoreError(f"{url}: {error}") from error
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS):
        raise StoreError(f"{url}: only https is downloaded")


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not from https to something that anybody on the way can change."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Return the next request."""
        check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


OPENER = urllib.request.build_opener(SafeRedirects)
