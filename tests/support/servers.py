"""Servers in a thread of this process, at an address that is free."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pyllama3 import Llama
from pyllama3.errors import BusyError

pytest.importorskip("uvicorn", reason="needs pip install 'pyllama3[server]'")
import uvicorn

from pyllama3.server.http.endpoints import Serving
from pyllama3.server.http.guard import Access
from pyllama3.server.http.run import address, bind, make_app
from pyllama3.server.service import Service


@contextmanager
def serving(
    llm: Llama | None,
    *,
    parallel: int = 4,
    api_key: str | None = None,
    origins: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
    **defaults: Any,
) -> Iterator[str]:
    """Serve a model, or none that has been loaded yet; yields the URL."""
    door = Serving()
    if llm is not None:
        door.service = Service(llm, name="tiny", parallel=parallel, defaults=defaults)
    ready = threading.Event()
    app = make_app(door, Access(api_key=api_key, hosts=hosts, origins=origins), start=ready.set)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=3))
    listener = bind("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert ready.wait(60)
        yield address(listener)
    finally:
        if door.service is not None:
            door.service.worker.stop(BusyError("the end"))
        server.should_exit = True
        thread.join()
