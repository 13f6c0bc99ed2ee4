"""What the page knows from the host, as JSON, so that there is one place for it: types, vocabularies, the engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pyllama3.backends.header import Header, parse_header
from pyllama3.tokenizer.builtin_templates import BY_END_TOKEN
from pyllama3.tokenizer.vocabulary.pre_tokenizers import BY_NAME
from pyllama3.tokenizer.vocabulary.stops import STOP_NAMES
from pyllama3.weights.types import TensorType

_ANY_CASE = re.compile(r"\(\?i:([^()]*)\)")
_ESCAPED_QUOTE = re.compile(r"\\\"")
_LONG_S = "\u017f"
"""What the letter s also matches where case is ignored."""


def read_facts(header: Path) -> dict[str, Any]:
    """Return all facts; the engine's are those of a generated header."""
    return {
        "types": {
            int(type): {"name": type.name, "blockSize": type.block_size, "blockBytes": type.block_bytes}
            for type in TensorType
        },
        "preTokenizers": {
            name: {
                "patterns": list(map(as_javascript, pre.patterns)),
                "ignoreMerges": pre.ignore_merges,
                "addBos": pre.add_bos,
            }
            for name, pre in BY_NAME.items()
        },
        "stopNames": sorted(STOP_NAMES),
        "templates": BY_END_TOKEN,
        "engine": _describe(parse_header(header.read_text(encoding="utf-8"))),
    }


def as_javascript(pattern: str) -> str:
    r"""Return a regular expression of `regex` as one of JavaScript with the flag u that matches the same.

    Blanks are those of Unicode, which JavaScript's \s is not, and not every browser can ignore the case of a group.
    """
    pattern = _ANY_CASE.sub(lambda match: f"(?:{''.join(map(_both_cases, match[1]))})", pattern)
    pattern = _ESCAPED_QUOTE.sub('"', pattern)
    return pattern.replace(r"\s", r"\p{White_Space}").replace(r"\S", r"\P{White_Space}")


def _both_cases(character: str) -> str:
    if not character.isalpha():
        return character
    return f"[{character.lower()}{character.upper()}{_LONG_S if character in 'sS' else ''}]"


def _describe(header: Header) -> dict[str, Any]:
    return {
        "classes": header.structures,
        "functions": [
            [function.name, function.result.name, [type.name for type in function.parameters]]
            for function in header.functions
        ],
        "enumerations": {
            name: {member.removeprefix(f"{name}_"): value for member, value in members.items()}
            for name, members in header.enumerations.items()
        },
        "constants": header.constants,
    }
