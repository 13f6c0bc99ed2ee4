"""Finding added tokens in a text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from .vocabulary import Edges

_WORD, _BLANKS = re.compile(r"\w"), re.compile(r"\s*")


class AddedTokens:
    """Names of tokens, of which the leftmost in a text counts, and of several there the longest."""

    def __init__(self, ids: Mapping[str, int], edges: Mapping[str, Edges]) -> None:
        """Take tokens by name, some of which want something of the text around them."""
        names = sorted(filter(None, ids), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, names))) if names else None
        self._ids = {name: ids[name] for name in names}
        self._edges = {name: edges[name] for name in edges if name in ids}

    @property
    def names(self) -> Collection[str]:
        """The names."""
        return self._ids.keys()

    def split(self, text: str) -> Iterator[str | int]:
        """Yield the ids of the tokens in a text, and what is between them."""
        start = 0
        for match in self._pattern.finditer(text) if self._pattern else ():
            begin, end = match.span()
            edges = self._edges.get(match[0])
            if begin < start:  # a token before has swallowed its beginning, which can only be blank
                continue
            if edges is not None:
                if edges.single_word and ((begin and _WORD.match(text, begin - 1)) or _WORD.match(text, end)):
                    continue
                if edges.lstrip:
                    begin = start + len(text[start:begin].rstrip())
                if edges.rstrip:
                    end = _match_end(_BLANKS, text, end)
            if start < begin:
                yield text[start:begin]
            yield self._ids[match[0]]
            start = end
        if start < len(text):
            yield text[start:]


def _match_end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Return where a match that is always there ends, without a copy of the rest of the text."""
    match = pattern.match(text, start)
    return match.end() if match else start
