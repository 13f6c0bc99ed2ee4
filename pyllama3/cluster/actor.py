"""What runs on other machines: a model that answers the questions of a batch."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Mapping
from typing import Any

from ..errors import PyLlama3Error
from ..generation.generation import Piece
from ..model import Llama
from ..server.answerer import prepare
from ..server.answers import error_body, error_status, response_body
from ..server.worker import Worker
from .orders import Order, Report

_PROBE = 8
"""Tokens whose logits tell what bits an actor computes."""


class Actor:
    """A model in a process that Ray runs, and the worker that generates. Methods are coroutines of one thread."""

    def __init__(self, order: Order) -> None:
        """Load the model; `report` tells whether there is one."""
        self._order = order
        machine = socket.gethostname()
        try:
            order.check_files()
            self._llm = Llama.load(order.model, **order.options)
            self._worker = Worker(self._llm.scheduler(order.parallel))
            self._report = Report(machine=machine, bits=_bits(self._llm))
        except PyLlama3Error as error:
            self._report = Report(machine=machine, error=str(error))

    async def report(self) -> Report:
        """Return what has become of the order."""
        return self._report

    async def answer(self, url: Any, body: Any) -> tuple[int, Mapping[str, Any]]:
        """Return the status and the body of the answer to a question."""
        try:
            request, generation = prepare(self._llm, url, body, self._order.defaults)
            loop, events = asyncio.get_running_loop(), asyncio.Queue[Piece | Exception]()

            def deliver(piece: Piece | Exception) -> None:
                loop.call_soon_threadsafe(events.put_nowait, piece)

            self._worker.submit(generation, deliver)
            pieces: list[Piece] = []
            while not pieces or pieces[-1].stats.finish_reason is None:
                piece = await events.get()
                if isinstance(piece, Exception):
                    raise piece
                pieces.append(piece)
            return 200, response_body(request, self._llm.tokenizer, [pieces])
        except Exception as error:  # one question must not stop the others
            return error_status(error), error_body(error)


def _bits(llm: Llama) -> bytes:
    ids = range(min(_PROBE, llm.context, llm.config.vocab_size))
    with llm.session() as session:
        return hashlib.blake2b(session.feed(ids).tobytes(), digest_size=16).digest()
