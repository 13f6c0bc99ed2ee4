"""Downloads over https that resume, and files that appear under their name only when they are complete."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from socket import gaierror
from ssl import SSLError
from typing import IO, Any
from urllib.error import HTTPError, URLError

from ..errors import StoreError
from ..files import beside, exclusive
from ..foreign import read_whole
from .network import no_network
from .urls import address_and_credentials, check_scheme, without_password

Progress = Callable[[int, int | None], object]
"""Receives the bytes done so far and, where known, the bytes in all."""

CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte
_LARGEST = 1 << 50
"""More bytes than any disk has."""
_MAX_VERSION = 1000
"""Characters of what identifies a version of a file."""

_BEGINNINGS = {".safetensors": re.compile(rb".{8}\{", re.DOTALL), ".pth": re.compile(rb"PK"), ".bin": re.compile(rb".")}
"""How files of these names begin; all others are GGUF."""
_GGUF = re.compile(rb"GGUF")


def download(url: str, target: Path, *, sha256: str | None = None, progress: Progress | None = None) -> None:
    """Download `url` to `target`, unless it is there.

    The bytes are collected in `target` + ".part"; an interrupted download goes on from there, provided that the server
    can tell that the file is still the same, and starts again otherwise. A user and a password in the URL are sent to
    its server only, and shown to nobody.

    Raises:
        StoreError: the URL is not https, the server or the disk fails, the SHA-256 is not `sha256`, or what came is no
            model.
    """
    check_scheme(url)
    shown = without_password(url)
    part = beside(target, ".part")
    with exclusive(target):
        if target.exists():
            return
        try:
            receive(url, part, progress)
        except HTTPError as error:
            error.close()
            raise StoreError(f"{shown}: the server answers {error.code} {error.reason}") from error
        except URLError as error:
            if isinstance(error.reason, gaierror):
                raise no_network(shown, error.reason.strerror) from error
            raise StoreError(f"{shown}: cannot be reached: {error.reason}") from error
        except (HTTPException, ConnectionError, TimeoutError, SSLError) as error:
            raise StoreError(
                f"{shown}: transfer broken off: {str(error) or repr(error)}; run again to resume"
            ) from error
        except ValueError as error:
            raise StoreError(f"{shown}: the server's answer is not understood: {error}") from error
        except OSError as error:
            raise StoreError(f"{shown}: cannot be saved as {part}: {error.strerror or error}") from error
        publish(part, target, sha256, shown)


def receive(url: str, part: Path, progress: Progress | None) -> None:
    """Fill `part` with the bytes of `url`, continuing what is there where that is safe.

    Raises:
        OSError, HTTPException, ValueError: the connection, the server or the disk fails.
        StoreError: fewer bytes came than were announced.
    """
    state = beside(part, ".version")
    done = part.stat().st_size if part.exists() else 0
    version = _read_version(state) if done else ""
    continued = resume(url, done, version) if version else None
    with continued or request(url) as response:
        if continued is None and response.status == 206:
            raise ValueError("it is a part, but the whole was asked for")
        if response.status != 206:
            # In this order: a version must never stand beside bytes of another one.
            part.unlink(missing_ok=True)
            state.write_text(version_of(response.headers), encoding="ascii")
            done = 0
        length = _read_length(response.headers)
        total = None if length is None else done + length
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
        raise StoreError(
            f"{without_password(url)}: transfer broken off after {done} of {total} bytes; run again to resume"
        )
    state.unlink()


def _read_length(headers: HTTPMessage) -> int | None:
    """Return how many bytes follow, None if the server does not say."""
    length = headers.get("Content-Length")
    if length is None:
        return None
    if not re.fullmatch("[0-9]{1,16}", length) or int(length) > _LARGEST:
        raise ValueError(f"Content-Length is {length!r:.40}")
    return int(length)


def _read_version(state: Path) -> str:
    """Return what `version_of` said; nothing if there is no such file, or a damaged one."""
    try:
        return _checked_version(read_whole(state, max_bytes=_MAX_VERSION).decode())
    except (OSError, ValueError):
        return ""


def request(url: str, **headers: str) -> HTTPResponse:
    """Open a URL; underscores in the names of headers stand for hyphens."""
    address, credentials = address_and_credentials(url)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    if credentials is not None:
        names["Authorization"] = credentials
    response: HTTPResponse = OPENER.open(urllib.request.Request(address, headers=names), timeout=TIMEOUT)
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
    return _checked_version(tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", ""))


def _checked_version(version: str) -> str:
    """Return a version, or nothing if it is not one that a header can have."""
    return version if version.isascii() and version.isprintable() and len(version) < _MAX_VERSION else ""


def publish(part: Path, target: Path, sha256: str | None, source: str) -> None:
    """Give a complete file its final name.

    Raises:
        StoreError: its SHA-256 is not `sha256` or, where that is not known, it does not begin as a model of its name;
            the file is removed.
    """
    with part.open("r+b") as file:
        start = file.read(9)
        if not sha256 and not _BEGINNINGS.get(target.suffix, _GGUF).match(start):
            file.close()
            part.unlink()
            raise StoreError(f"{source}: this is no model: it starts with {start!r}; the file was removed")
        file.seek(0)
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


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not from https to something that anybody on the way can change."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Return the next request."""
        check_scheme(newurl)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and (request.type, request.host) != (req.type, req.host):
            request.remove_header("Authorization")
        return request

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> Any:
        """Follow a redirection; one that cannot be followed leaves no connection open."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except Exception:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


OPENER = urllib.request.build_opener(SafeRedirects)
