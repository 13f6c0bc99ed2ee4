"""Places in a cache: which tokens each of its sequences holds, and what of them a new text can use."""

from __future__ import annotations

from collections.abc import Sequence

from ..runtime.passes import Passes


class Places:
    """The sequences of a cache. Those that are free keep what they hold until another text needs them."""

    def __init__(self, state: Passes, count: int) -> None:
        self._state = state
        self._held: list[list[int]] = [[] for _ in range(count)]
        self._free = list(range(count))
        """The one that has not been used for the longest time first."""

    @property
    def free(self) -> int:
        """How many places a text could take."""
        return len(self._free)

    def known(self, ids: Sequence[int]) -> int:
        """Return how many of the first tokens any place holds; never all, since the logits of the last are not kept."""
        return max(common_length(held, ids[:-1]) for held in self._held)

    def take(self, ids: Sequence[int]) -> tuple[int, int]:
        """Return a place for a text, and how many of its first tokens are there already; there has to be a free one.

        What other places hold of it is copied, also from texts in the making. Only a place whose text goes on is
        taken over with what it holds; otherwise the one that was not used for the longest time is.
        """
        lengths = [common_length(held, ids[:-1]) for held in self._held]
        source = max(range(len(lengths)), key=lengths.__getitem__)
        goes_on = source in self._free and 0 < lengths[source] == len(self._held[source])
        place = source if goes_on else self._free[0]
        self._free.remove(place)
        if lengths[source] > lengths[place]:
            self._state.copy(source, place, lengths[source])
        self._held[place] = list(ids[: lengths[source]])
        return place, lengths[source]

    def extend(self, place: int, ids: Sequence[int]) -> None:
        """Note tokens that a forward pass has put into a place."""
        self._held[place] += ids

    def give_back(self, place: int, *, sound: bool = True) -> None:
        """Let others have a place; what it holds can be used unless it is not `sound`."""
        if not sound:
            self._state.clear(place)
            self._held[place] = []
        self._free.append(place)


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many tokens two texts have in common at their beginning."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
