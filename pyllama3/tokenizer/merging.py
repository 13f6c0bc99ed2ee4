"""Merging of neighbours, which all kinds of byte pair encoding have in common."""

from __future__ import annotations

import heapq
from collections.abc import Callable


def merge(text: str, rank: Callable[[str, str], float | None]) -> list[str]:
    """Return the parts of a text whose characters were merged, always the neighbours of the lowest rank.

    Of equal ranks the leftmost counts; None is for neighbours that are never merged.
    """
    # A merged part stands where it begins, "" where its parts were; neighbours are linked lists.
    parts = list(text)
    count = len(parts)
    after = list(range(1, count + 1))
    before = list(range(-1, count - 1))
    candidates: list[tuple[float, int, str]] = []

    def consider(left: int, right: int) -> None:
        if left >= 0 and right < count:
            found = rank(parts[left], parts[right])
            if found is not None:
                heapq.heappush(candidates, (found, left, parts[left] + parts[right]))

    for left in range(count - 1):
        consider(left, left + 1)
    while candidates:
        _, left, merged = heapq.heappop(candidates)
        right = after[left]
        if not parts[left] or right == count or parts[left] + parts[right] != merged:
            continue  # one of the two has been merged with another since
        parts[left], parts[right] = merged, ""
        after[left] = after[right]
        if after[left] < count:
            before[after[left]] = left
        consider(before[left], left)
        consider(left, after[left])
    return [part for part in parts if part]
