"""Byte-level BPE: how text is cut into pieces, and GPT-2's alphabet, in which files spell bytes."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from itertools import accumulate, count, pairwise

from ...errors import TokenizerError

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

GPT2_PATTERN = r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""How GPT-2 does (openai/gpt-2, encoder.py)."""

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


def _alphabet() -> str:
    """Return the characters in which files spell the 256 bytes.

    Bytes that print stand for themselves, the other 68 for U+0100, U+0101, ... (openai/gpt-2, encoder.py).
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = count(0x100)
    return "".join(chr(byte if byte in printable else next(others)) for byte in range(256))


_CHARACTERS = _alphabet()
_ALL_CHARACTERS = frozenset(_CHARACTERS)
_ZERO = _CHARACTERS[0]
_BYTES = codecs.charmap_build("\0" + _CHARACTERS[1:])
"""For `codecs.charmap_encode`, which is several times faster where the byte 0 is spelled "\\0"."""


def spell(token: bytes) -> str:
    """Return bytes in GPT-2's alphabet."""
    return token.decode("latin-1").translate(_CHARACTERS)


def spelled_out(names: Sequence[str], literal: frozenset[int]) -> list[bytes]:
    """Translate tokens from GPT-2's alphabet to the bytes they stand for.

    Those with a `literal` id, or with a character outside the alphabet, mean themselves, as in `tokenizers`
    (decoders/byte_level.rs).

    Raises:
        TokenizerError: two tokens are equal.
    """
    if len(set(names)) < len(names):
        _refuse_twins(names)
    spelled = list(names)
    for id in literal:
        spelled[id] = ""
    if not _ALL_CHARACTERS.issuperset("".join(spelled)):
        literal = literal.union(id for id, name in enumerate(spelled) if not _ALL_CHARACTERS.issuperset(name))
        for id in literal:
            spelled[id] = ""
    data = codecs.charmap_encode("".join(spelled).replace(_ZERO, "\0"), "strict", _BYTES)[0]
    ends = accumulate(map(len, spelled), initial=0)  # of characters, and so of bytes
    tokens = [data[start:end] for start, end in pairwise(ends)]
    for id in literal:
        tokens[id] = names[id].encode("utf-8", "replace")
    return tokens


def _refuse_twins(names: Sequence[str]) -> None:
    ids: dict[str, int] = {}
    for id, name in enumerate(names):
        if ids.setdefault(name, id) != id:
            raise TokenizerError(f"tokens {ids[name]} and {id} are both {name!r:.80}")


def merges_by_id(tokens: Sequence[bytes], literal: frozenset[int]) -> Iterator[str]:
    """List the merges of a vocabulary that is merged by ids: for each token every pair of tokens that makes it.

    The order is that of Llama 3's list, which Hugging Face made from the ids.
    """
    ids = {spell(token): id for id, token in enumerate(tokens) if id not in literal}
    for name in ids:
        lefts = [name[:cut] for cut in range(1, len(name)) if name[:cut] in ids and name[cut:] in ids]
        for left in sorted(lefts, key=ids.__getitem__):
            yield f"{left} {name[len(left) :]}"
