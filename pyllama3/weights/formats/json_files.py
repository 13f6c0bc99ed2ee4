"""JSON files beside the weights, and objects in JSON, read without trusting them."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import WeightsError

_MAX_BYTES = 1 << 28
"""A tokenizer.json with 128000 tokens and their merges has 17 MB."""


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, without the keys whose value is null.

    Raises:
        WeightsError: the file cannot be read, is absurdly large, or is not an object in JSON.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise WeightsError(f"{path}: has {size} bytes; at most {_MAX_BYTES} are read")
        value = parse_json(path, path.read_bytes(), "the file")
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    return {key: item for key, item in value.items() if item is not None}


def parse_json(path: Path, text: bytes, subject: str) -> dict[str, Any]:
    """Return an object in JSON; `subject` is what the text is, for messages.

    Raises:
        WeightsError: the text is not an object in JSON, or one in it has a key twice.
    """
    try:
        with _no_collections():
            value = json.loads(text.decode("utf-8-sig"), object_pairs_hook=_without_duplicates)
    except RecursionError:
        raise WeightsError(f"{path}: {subject} is too deeply nested") from None
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
