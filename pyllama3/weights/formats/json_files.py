"""JSON files beside the weights, and objects in JSON, read without trusting them."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import WeightsError
from ...foreign import parse_json, read_whole

_MAX_BYTES = 1 << 26
"""A tokenizer.json with 128000 tokens and their merges has 17 MB; what is read takes up to 25 times as much memory."""


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, without the keys whose value is null.

    Raises:
        WeightsError: the file cannot be read, is absurdly large, or is not an object in JSON.
    """
    try:
        value = parse_object(path, read_whole(path, max_bytes=_MAX_BYTES), "the file")
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from None
    return {key: item for key, item in value.items() if item is not None}


def parse_object(path: Path, text: bytes, subject: str) -> dict[str, Any]:
    """Return an object in JSON; `subject` is what the text is, for messages.

    Raises:
        WeightsError: the text is not an object in JSON, or one in it has a key twice.
    """
    try:
        with _no_collections():
            value = parse_json(text, object_hook=_without_duplicates)
    except ValueError as error:
        raise WeightsError(f"{path}: {subject} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise WeightsError(f"{path}: {subject} is not an object in JSON")
    return value


@contextmanager
def _no_collections() -> Iterator[None]:
    """Let the garbage collector wait, which would look through 280,000 new lists again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"{key!r:.80} occurs twice")
    return values
