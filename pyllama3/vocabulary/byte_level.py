"""Byte-level BPE: how text is cut into pieces, and GPT-2's alphabet, in which files spell bytes."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..errors import TokenizerError

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)
"""How Llama 3 cuts text into pieces: `pat_str` of models/llama3/tokenizer.py in meta-llama/llama-models."""

SMOLLM_PATTERN = (
    r"'(?:s|t|re|ve|m|ll|d)"
    r"| ?\p{L}+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?![^\s\p{N}])"
    r"|\s+"
)
"""SmolLM's two passes in one: isolate every digit, then cut the rest as GPT-2 does.

The rest ends where a digit begins, so no space sticks to a digit, and whitespace before one stays whole.
"""


def _alphabet() -> dict[int, int]:
    """Map the characters in which files spell bytes to bytes, for `codecs.charmap_encode`.

    Bytes that print stand for themselves, the other 68 for U+0100, U+0101, ... (openai/gpt-2, encoder.py).
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: byte for byte in printable} | {0x100 + n: byte for n, byte in enumerate(others)}


_BYTES = _alphabet()
_CHARACTERS = {byte: character for character, byte in _BYTES.items()}


def spell(token: bytes) -> str:
    """Return bytes in GPT-2's alphabet."""
    return token.decode("latin-1").translate(_CHARACTERS)


def spelled_out(names: Sequence[str], literal: frozenset[int]) -> list[bytes]:
    """Translate tokens from GPT-2's alphabet to the bytes they stand for; those with a `literal` id mean themselves.

    Raises:
        TokenizerError: a token has a character outside the alphabet, or two are equal.
    """
    tokens = []
    ids: dict[bytes, int] = {}
    for id, name in enumerate(names):
        if id in literal:
            tokens.append(name.encode("utf-8", "replace"))
            continue
        try:
            token = codecs.charmap_encode(name, "strict", _BYTES)[0]
        except UnicodeEncodeError:
            raise TokenizerError(f"token {id} {name!r} is not spelled in the alphabet of byte-level BPE") from None
        if ids.setdefault(token, id) != id:
            raise TokenizerError(f"tokens {ids[token]} and {id} are both {name!r}")
        tokens.append(token)
    return tokens


def check_merge_order(ids: Mapping[str, int], merges: Iterable[str], *, several_ways: bool) -> None:
    """Check that merging by the lowest id is merging in the listed order, see `BytePairEncoder`.

    With `several_ways`, as in Llama 3, the list has every pair that makes a token.

    Raises:
        TokenizerError: it is not.
    """
    last = -1
    for merge in merges:
        id = ids.get(merge.replace(" ", "", 1), -1)
        if id < last or (id == last and not several_ways) or id < 0:
            raise TokenizerError(f"merge {merge!r} does not make a token with a higher id than the merge before it")
        last = id


def merges_by_id(tokens: Sequence[bytes], literal: frozenset[int]) -> Iterator[str]:
    """List the merges of a vocabulary that is merged by ids: for each token every pair of tokens that makes it.

    The order is that of Llama 3's list, which Hugging Face made from the ids.
    """
    ids = {token: id for id, token in enumerate(tokens) if id not in literal}
    for token in ids:
        splits = ((ids.get(token[:cut]), ids.get(token[cut:])) for cut in range(1, len(token)))
        pairs = sorted((left, right) for left, right in splits if left is not None and right is not None)
        for left, right in pairs:
            yield f"{spell(tokens[left])} {spell(tokens[right])}"
