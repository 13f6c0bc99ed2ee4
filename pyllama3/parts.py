"""Names of models that are split over several files, as llama.cpp's gguf-split gives them: m-00001-of-00003.gguf."""

from __future__ import annotations

import re

_PART = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.ASCII | re.DOTALL)


def part_names(name: str) -> list[str]:
    """Return the names of all parts, in order, by that of any of them; the name alone if it is not a part."""
    match = _PART.fullmatch(name)
    if match is None or not 1 <= int(match["number"]) <= int(match["count"]):
        return [name]
    return [f"{match['stem']}-{number:05}-of-{match['count']}.gguf" for number in range(1, int(match["count"]) + 1)]
