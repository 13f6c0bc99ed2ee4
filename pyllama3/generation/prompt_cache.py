"""Prompt caches: files with the keys and values of a prompt, so that it need not be computed again.

A file is MAGIC, the length of the header (u64, little-endian), the header in JSON, and the arrays of
`Session.cache_views`, one after the other. The header says for which model and precision they are,
and has their digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PromptCacheError
from ..files import replacing
from ..runtime.session import Session
from .generation import Piece

MAGIC = b"PYLLAMA3 PROMPT 1\n"


def save_prompt(path: Path, session: Session, count: int) -> None:
    """Write the first tokens of a session, and what the model made of them.

    Raises:
        PromptCacheError: the file cannot be written.
    """
    arrays = [np.ascontiguousarray(view) for view in session.cache_views(count)]
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(array.data)
    header = json.dumps(
        {**_kind(session), "ids": list(session.ids[:count]), "digest": digest.hexdigest()}, separators=(",", ":")
    ).encode()
    try:
        with replacing(path) as file:
            file.write(MAGIC + len(header).to_bytes(8, "little") + header)
            for array in arrays:
                file.write(array.data)
    except OSError as error:
        raise PromptCacheError(f"{path}: cannot be written: {error.strerror}") from error


def load_prompt(path: Path, session: Session) -> None:
    """Make a session hold what a file has, and nothing else.

    Raises:
        PromptCacheError: the file cannot be read, is damaged, is one of another model or precision, or its prompt does
            not fit into the context.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PromptCacheError(f"{path}: {error.strerror}") from error
    header, start = _read_header(path, data)
    for name, ours in _kind(session).items():
        if header.get(name) != ours:
            raise PromptCacheError(
                f"{path}: this is the prompt cache of another {name}: {header.get(name)}, this one is {ours}"
            )
    payload = memoryview(data)[start:]
    if hashlib.blake2b(payload, digest_size=16).hexdigest() != header["digest"]:
        raise PromptCacheError(f"{path}: damaged: its {len(payload)} bytes of keys and values are not those written")
    ids = header["ids"]
    if len(ids) > session.context:
        raise PromptCacheError(f"{path}: {len(ids)} tokens do not fit into the context of {session.context}")
    for view in session.cache_views(len(ids)):
        view[...] = np.frombuffer(payload[: view.nbytes], view.dtype).reshape(view.shape)
        payload = payload[view.nbytes :]
    session.restore(ids)


def saving(path: Path, session: Session, ids: Sequence[int], pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Pass the pieces on that answer a prompt, and save it to a file as soon as the session has read it.

    Raises:
        PromptCacheError: the file cannot be written.
    """
    known = session.ids[: len(ids)] == tuple(ids)
    for piece in pieces:
        if not known:
            save_prompt(path, session, len(ids))
            known = True
        yield piece


def _kind(session: Session) -> dict[str, Any]:
    """Return what has to be equal, by the names that messages give it."""
    model = session.model
    return {"model": model.fingerprint, "precision": f"{model.cache_type}{' exact' if model.exact else ''}"}


def _read_header(path: Path, data: bytes) -> tuple[dict[str, Any], int]:
    if not data.startswith(MAGIC):
        raise PromptCacheError(f"{path}: starts with {data[: len(MAGIC)]!r}; a prompt cache starts with {MAGIC!r}")
    start = len(MAGIC) + 8
    end = start + int.from_bytes(data[len(MAGIC) : start], "little")
    try:
        header = json.loads(data[start:end])
        if isinstance(header["ids"], list) and isinstance(header["digest"], str):
            return header, end
    except (ValueError, KeyError, TypeError):
        pass
    raise PromptCacheError(f"{path}: the header is damaged")
