"""The site that `invoke web` makes, served to browsers, with a model beside the page."""

from __future__ import annotations

import os
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .errors import OptionError

MODEL = "/model.gguf"
"""Where the page looks for a model."""

_HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def make_server(folder: Path, model: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server of the files in a folder, and of a model; port 0 takes any that is free.

    Raises:
        OptionError: the port cannot be had.
    """
    try:
        return _Server((host, port), partial(_Handler, folder, model))
    except (OSError, OverflowError) as error:
        raise OptionError(f"port {port} of {host}: {getattr(error, 'strerror', None) or error}") from error


class _Server(ThreadingHTTPServer):
    """Does not mind browsers that leave while they are answered."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell what went wrong, unless it is the connection, or its end at that of the process."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(SimpleHTTPRequestHandler):
    """Answers requests for files."""

    protocol_version = "HTTP/1.1"

    def __init__(self, folder: Path, model: Path, *args: Any, **options: Any) -> None:
        self._model = model
        super().__init__(*args, directory=os.fspath(folder), **options)

    def translate_path(self, path: str) -> str:
        """Return the file of an address."""
        return os.fspath(self._model) if path.partition("?")[0] == MODEL else super().translate_path(path)

    def end_headers(self) -> None:
        """Isolate the page from other origins, and have browsers ask whether a file has changed."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        """Refuse: there is nothing to list."""
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
