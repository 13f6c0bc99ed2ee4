"""Documentation comments: paragraphs and bullet lists, for the targets to render."""

from __future__ import annotations

import re
from collections.abc import Callable


def render(lines: list[str], code: Callable[[str], str]) -> list[str]:
    """Return the lines of a documentation comment as the targets show it.

    The first sentence, which ends with a period at the end of a line, is set off as the summary. `code` rewrites the
    text between backquotes.
    """
    lines = [re.sub(r"`([^`]*)`", lambda match: code(match[1]), line.rstrip()) for line in lines]
    summary = next((i + 1 for i, line in enumerate(lines) if line.endswith(".") or not line), len(lines))
    result = lines[:summary]
    details = lines[summary:]
    if any(details) and result and result[-1]:
        result.append("")
    previous = result[-1] if result else ""
    for line in details:
        starts_list = line.startswith("* ") and previous and not previous.startswith("* ")
        if starts_list:
            result.append("")
        if line or previous:
            result.append(line)
        previous = line
    while result and not result[-1]:
        result.pop()
    return result
