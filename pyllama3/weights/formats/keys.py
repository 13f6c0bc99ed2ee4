"""Values of a model's metadata, checked on the way out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

from ...errors import WeightsError

_MAX_SIZE = 2**31 - 1
"""The engine keeps sizes in 32-bit integers."""


class Keys:
    """Metadata of a file: GGUF keys, or an object of a JSON file."""

    def __init__(self, path: Path, metadata: Mapping[str, Any]) -> None:
        self.path = path
        self.metadata = metadata
        self.assumed: list[str] = []
        """What missing keys were taken for, for people."""

    def error(self, key: str, allowed: str) -> WeightsError:
        """Return the error for a value that is missing or not allowed."""
        if key not in self.metadata:
            return WeightsError(f"{self.path}: no metadata key {key!r}; {allowed} is needed")
        return WeightsError(f"{self.path}: {key} is {short_repr(self.metadata[key])}; allowed: {allowed}")

    def size(self, key: str, default: int | None = None) -> int:
        """Return an integer from 1 on that the engine can count with.

        Raises:
            WeightsError: the value is none, or is missing and has no default.
        """
        value = self._get(key, default)
        if type(value) is not int or not 1 <= value <= _MAX_SIZE:
            raise self.error(key, f"an integer from 1 to {_MAX_SIZE}")
        return value

    def heads(self, heads: str, kv_heads: str, *, default: int | None = None) -> tuple[int, int]:
        """Return the numbers of query heads, and of key and value heads, by their keys; by default these are as many.

        Raises:
            WeightsError: a number is wrong, or the heads cannot be divided evenly.
        """
        queries = self.size_of_all(heads, default)
        others = self.size_of_all(kv_heads, queries)
        if queries % others:
            raise self.error(kv_heads, f"a divisor of the {queries} heads")
        return queries, others

    def head_dim(self, key: str, default: int) -> int:
        """Return the width of a head.

        Raises:
            WeightsError: it is wrong or odd, so that it cannot be rotated in pairs.
        """
        width = self.size(key, default)
        if width % 2:
            raise WeightsError(f"{self.path}: the head dimension is {width}; it must be even")
        return width

    def size_of_all(self, key: str, default: int | None = None) -> int:
        """Return an integer like `size`, which the file may repeat for every layer.

        Raises:
            WeightsError: the value is none, or is missing and has no default, or layers differ.
        """
        value = self.metadata.get(key)
        if not isinstance(value, list):
            return self.size(key, default)
        if not value or any(of_layer != value[0] for of_layer in value):
            raise self.error(key, "the same for all layers")
        return Keys(self.path, {key: value[0]}).size(key)

    def positive(self, key: str, default: float | None = None) -> float:
        """Return a positive number that single precision can hold and take the inverse of.

        Raises:
            WeightsError: the value is none, or is missing and has no default.
        """
        value = self._get(key, default)
        if type(value) not in (int, float) or not 1e-30 < value < 1e30:
            raise self.error(key, "a positive number")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false.

        Raises:
            WeightsError: the value is neither.
        """
        value = self._get(key, default)
        if type(value) is not bool:
            raise self.error(key, "true or false")
        return value

    def _get(self, key: str, default: Any) -> Any:
        if key in self.metadata or default is None:
            return self.metadata.get(key)
        assumed = f"{key}: {str(default).lower() if isinstance(default, bool) else default}"
        if assumed not in self.assumed:
            self.assumed.append(assumed)
        return default
