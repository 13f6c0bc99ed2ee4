"""Encoding with Hugging Face's library `tokenizers`, for what only it can run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import TokenizerError
from .encoder import Before
from .vocabulary import LibraryTokenizer


class LibraryEncoder:
    """Runs a tokenizer.json in which special tokens are text like any other, and other added tokens are found."""

    def __init__(self, algorithm: LibraryTokenizer) -> None:
        """Build the tokenizer.

        Raises:
            TokenizerError: the library is not installed, or refuses the file.
        """
        try:
            import tokenizers
        except ImportError:
            raise TokenizerError(
                "this tokenizer.json is not byte-level BPE; pip install 'pyllama3[hf]' adds the library that runs it"
            ) from None

        def build(content: Mapping[str, Any]) -> tokenizers.Tokenizer:
            try:
                tokenizer = tokenizers.Tokenizer.from_str(json.dumps(content))
            except Exception as error:  # its only class of errors
                raise TokenizerError(f"the library tokenizers says: {' '.join(str(error).split())}") from error
            tokenizer.encode_special_tokens = True
            tokenizer.no_padding()
            tokenizer.no_truncation()
            return tokenizer

        self._first = build(algorithm.content)
        later = _without_first_prefix(algorithm.content)
        self._later = self._first if later == algorithm.content else build(later)

    def encode(self, text: str, before: Before) -> list[int]:
        """Return the ids of a text that has no special tokens."""
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        tokenizer = self._first if before == "nothing" else self._later
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _without_first_prefix(value: Any) -> Any:
    """Return a tokenizer.json that puts no space in front of what is not the beginning of a text."""
    if isinstance(value, dict):
        searched = value.keys() - {"model", "added_tokens"}
        changed = {key: _without_first_prefix(value[key]) for key in searched}

        if value.get("type") == "Metaspace" and value.get("prepend_scheme") == "first":
            changed["prepend_scheme"] = "never"
        return value | changed
    return [_without_first_prefix(item) for item in value] if isinstance(value, list) else value
