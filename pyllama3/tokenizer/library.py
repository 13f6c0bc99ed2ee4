"""Encoding with Hugging Face's library `tokenizers`, for what only it can run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
                "this tokenizer is not one of ours; pip install 'pyllama3[hf]' adds the library that runs it"
            ) from None

        def build(content: Mapping[str, Any]) -> tokenizers.Tokenizer:
            with _its_errors():
                tokenizer = tokenizers.Tokenizer.from_str(json.dumps(content))
            tokenizer.encode_special_tokens = True
            tokenizer.no_padding()
            tokenizer.no_truncation()
            return tokenizer

        self._first = build(algorithm.content)
        later = _without_first_prefix(algorithm.content)
        self._later = self._first if later == algorithm.content else build(later)

    def encode(self, text: str, before: Before) -> list[int]:
        """Return the ids of a text that has no special tokens.

        Raises:
            TokenizerError: the library fails, as a part of the file that it does not check is damaged.
        """
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        tokenizer = self._first if before == "nothing" else self._later
        with _its_errors():
            ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids


@contextmanager
def _its_errors() -> Iterator[None]:
    """Make errors ours: the library knows only Exception, and panics of Rust are not even that."""
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit, SystemExit):
        raise
    except BaseException as error:
        raise TokenizerError(f"the library tokenizers says: {' '.join(str(error).split()):.200}") from error


def _without_first_prefix(value: Any) -> Any:
    """Return a tokenizer.json that puts no space in front of what is not the beginning of a text."""
    if isinstance(value, dict):
        searched = value.keys() - {"model", "added_tokens"}
        changed = {key: _without_first_prefix(value[key]) for key in searched}

        if value.get("type") == "Metaspace" and value.get("prepend_scheme") == "first":
            changed["prepend_scheme"] = "never"
        return value | changed
    return [_without_first_prefix(item) for item in value] if isinstance(value, list) else value
