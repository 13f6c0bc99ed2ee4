"""Prompt caches: files with the keys and values of a prompt, so that it need not be computed again.

A file is MAGIC, the digest of all that follows, the length of the header (u64, little-endian), the header in JSON, and
the arrays of `Session.cache_views`, one after the other. The header has the tokens, the shapes of the arrays, and for
which model and precision they are. MAGIC has the version of this form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import file_path, instance, integer, shown
from ..errors import OptionError, PromptCacheError
from ..files import replacing
from ..foreign import parse_json, read_whole
from ..runtime.session import Session, check_ids
from .generation import Piece

MAGIC = b"PYLLAMA3 PROMPT 2\n"
_DIGEST_SIZE = 16
_MAX_BYTES = 1 << 40
"""The caches of 131072 tokens of Llama 3.1 405B have 68 GB."""


def save_prompt(path: Path, session: Session, count: int) -> None:
    """Write the first tokens of a session, and what the model made of them.

    Raises:
        OptionError: the session does not hold that many tokens.
        PromptCacheError: the file cannot be written.
    """
    path, session = file_path("the path", path), instance("the session", session, Session, "a Session")
    if not 1 <= (count := integer("the number of tokens", count)) <= session.position:
        raise OptionError(f"cannot save {shown(count)} tokens; the session holds {session.position}")
    arrays = [np.ascontiguousarray(view) for view in session.cache_views(count)]
    shapes = [array.shape for array in arrays]
    content = {**_kind(session), "ids": session.ids[:count], "shapes": shapes}
    header = json.dumps(content, separators=(",", ":")).encode()
    parts: list[bytes | memoryview] = [len(header).to_bytes(8, "little"), header, *(array.data for array in arrays)]
    digest = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    for part in parts:
        digest.update(part)
    try:
        with replacing(path) as file:
            for part in (MAGIC, digest.digest(), *parts):
                file.write(part)
    except OSError as error:
        raise PromptCacheError(f"{path}: cannot be written: {error.strerror}") from error


def load_prompt(path: Path, session: Session) -> None:
    """Make a session hold what a file has, and nothing else.

    Raises:
        PromptCacheError: the file cannot be read, is damaged, is one of another model or precision, or its prompt does
            not fit into the context; the session is as before.
    """
    path, session = file_path("the path", path), instance("the session", session, Session, "a Session")
    try:
        data = read_whole(path, max_bytes=_MAX_BYTES)
    except OSError as error:
        raise PromptCacheError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise PromptCacheError(f"{path}: {error}") from None
    header, payload = _parse(path, data)
    for name, ours in _kind(session).items():
        if header.get(name) != ours:
            raise PromptCacheError(
                f"{path}: this is the prompt cache of another {name}: {header.get(name)}, this one is {ours}"
            )
    ids = header["ids"]
    if len(ids) > session.context:
        raise PromptCacheError(f"{path}: {len(ids)} tokens do not fit into the context of {session.context}")
    try:
        check_ids(ids, session.config.vocab_size)
    except OptionError as error:
        raise PromptCacheError(f"{path}: {error}") from None
    views = session.cache_views(len(ids))
    shapes = [list(view.shape) for view in views]
    if header["shapes"] != shapes:
        raise PromptCacheError(f"{path}: the arrays of {len(ids)} tokens are {header['shapes']}; expected: {shapes}")
    size = sum(view.nbytes for view in views)
    if len(payload) != size:
        raise PromptCacheError(f"{path}: {len(ids)} tokens have {len(payload)} bytes of arrays; expected: {size}")
    for view in views:
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
    return {
        "model": model.fingerprint,
        "precision": f"{model.cache_type} cache, {model.activation_bits}-bit activations",
    }


def _parse(path: Path, data: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return the header and the bytes of the arrays.

    Raises:
        PromptCacheError: the file is not what was written.
    """
    if not data.startswith(MAGIC):
        raise PromptCacheError(
            f"{path}: starts with {data[: len(MAGIC)]!r}; a prompt cache of this version starts with {MAGIC!r}"
        )
    content = memoryview(data)[len(MAGIC) + _DIGEST_SIZE :]
    digest = data[len(MAGIC) : len(MAGIC) + _DIGEST_SIZE]
    if hashlib.blake2b(content, digest_size=_DIGEST_SIZE).digest() != digest:
        raise PromptCacheError(f"{path}: damaged: its {len(data)} bytes are not those that were written")
    end = 8 + int.from_bytes(content[:8], "little")
    try:
        header = parse_json(bytes(content[8:end]))
        if isinstance(header["shapes"], list) and all(type(id) is int for id in header["ids"]):
            return header, content[end:]
    except (ValueError, KeyError, TypeError):
        pass
    raise PromptCacheError(f"{path}: the header is not that of a prompt cache")
