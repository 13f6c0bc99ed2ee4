"""The life of a server: a socket, a model that is loaded beside it, signals, and an end within seconds."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from ...errors import BusyError, OptionError
from ..service import Service
from .endpoints import Serving
from .errors import on_http_exception
from .guard import LOCAL_ORIGINS, Access, HostGuard, KeyGuard

_GRACE = 3
"""Seconds that open requests have to end, once their texts have been ended."""


def make_app(serving: Serving, access: Access, *, start: Callable[[], None] = lambda: None) -> Starlette:
    """Return the application; `start` is called when it is ready to be asked."""

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        start()
        yield

    app = Starlette(
        routes=serving.routes(),
        middleware=[
            Middleware(HostGuard, access=access),
            Middleware(
                CORSMiddleware,
                allow_origins=access.origins,
                allow_origin_regex=LOCAL_ORIGINS,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
            ),
            Middleware(KeyGuard, access=access),
        ],
        exception_handlers={HTTPException: on_http_exception},
        lifespan=life,
    )
    app.router.redirect_slashes = False
    return app


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OptionError: the address is not ours, or the port is in use.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except socket.gaierror as error:
        reason = error.strerror
    except UnicodeError as error:
        reason = str(error)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
    raise OptionError(f"cannot listen on {host}:{port}: {reason}")


def address(listener: socket.socket) -> str:
    """Return the URL of a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_server(listener: socket.socket, load: Callable[[], Service], access: Access) -> None:
    """Answer requests until a signal comes; the model is loaded meanwhile.

    Raises:
        Exception: what `load` raises.
        KeyboardInterrupt: SIGINT has come; SIGTERM ends the program with code 0.
    """
    logging.basicConfig(level=logging.WARNING, format="pyllama3: %(message)s")
    serving = Serving()
    failures: list[Exception] = []

    def start() -> None:
        threading.Thread(target=load_service, name="pyllama3 loader", daemon=True).start()

    def load_service() -> None:
        try:
            serving.service = load()
        except Exception as error:
            failures.append(error)
            server.should_exit = True

    config = uvicorn.Config(
        make_app(serving, access, start=start),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
        h11_max_incomplete_event_size=1 << 16,
    )
    server = _Server(config, serving)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # which uvicorn calls when it has ended
    server.run(sockets=[listener])
    if failures:
        raise failures[0]


class _Server(uvicorn.Server):
    """Ends the texts that are being generated when a signal comes, so that no stream holds the server up."""

    def __init__(self, config: uvicorn.Config, serving: Serving) -> None:
        super().__init__(config)
        self._serving = serving

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        super().handle_exit(sig, frame)
        service = self._serving.service
        if service is not None:
            reason = BusyError("the server is being stopped")
            threading.Thread(target=service.worker.stop, args=(reason,), daemon=True).start()
