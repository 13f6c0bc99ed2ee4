"""Text for `asyncio`: pieces are computed in another thread, so that the loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress

from ..errors import StoppedError
from ..runtime.session import Session
from .generation import Piece


async def stream(pieces: Generator[Piece, None, None], session: Session) -> AsyncGenerator[Piece, None]:
    """Yield what a generation yields that feeds a session.

    When the task is cancelled, the computation ends after the batch of tokens that is being read, and then the task.
    """
    loop = asyncio.get_running_loop()
    try:
        while True:
            step = loop.run_in_executor(None, next, pieces, None)
            try:
                piece = await asyncio.shield(step)
            except asyncio.CancelledError:
                session.interrupt()
                with suppress(StoppedError):
                    await step
                raise
            if piece is None:
                return
            yield piece
    finally:
        pieces.close()
