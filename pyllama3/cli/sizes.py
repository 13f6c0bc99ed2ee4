"""Sizes for people."""

from __future__ import annotations


def size_text(count: int) -> str:
    """Return a number of bytes as people write it."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.2f} {unit}"
    return f"{count} B"
