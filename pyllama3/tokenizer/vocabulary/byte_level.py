"""Byte-level BPE: how text is cut into pieces, and GPT-2's alphabet, in which files spell bytes."""

from __future__ import annotations

import codecs
import operator
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
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
_ZERO = _CHARACTERS[0]
_BYTES = codecs.charmap_build("\0" + _CHARACTERS[1:])
"""For `codecs.charmap_encode`, which is several times faster where the byte 0 is spelled "\\0"."""


def spell(token: bytes) -> str:
    """Return bytes in GPT-2's alphabet."""
    return token.decode("latin-1").translate(_CHARACTERS)


def spelled_out(names: Sequence[str], literal: frozenset[int]) -> list[bytes]:
    """Translate tokens from GPT-2's alphabet to the bytes they stand for; those with a `literal` id mean themselves.

    Raises:
        TokenizerError: a token has a character outside the alphabet, or two are equal.
    """
    spelled = list(names)
    for id in literal:
        spelled[id] = ""
    text = "".join(spelled).replace("\0", " ").replace(_ZERO, "\0")  # a space is not in the alphabet either
    ends = accumulate(map(len, spelled), initial=0)  # of characters, and so of bytes
    try:
        data = codecs.charmap_encode(text, "strict", _BYTES)[0]
    except UnicodeEncodeError as error:
        id = bisect_right(list(ends), error.start) - 1
        raise TokenizerError(f"token {id} {names[id]!r:.80} is not spelled in the alphabet of byte-level BPE") from None
    tokens = [data[start:end] for start, end in pairwise(ends)]
    if len(set(tokens)) < len(tokens) - len(literal) + bool(literal):
        _refuse_twins(names, literal)
    for id in literal:
        tokens[id] = names[id].encode("utf-8", "replace")
    return tokens


def _refuse_twins(names: Sequence[str], literal: frozenset[int]) -> None:
    ids: dict[str, int] = {}
    for id, name in enumerate(names):
        if id not in literal and ids.setdefault(name, id) != id:
            raise TokenizerError(f"tokens {ids[name]} and {id} are both {name!r:.80}")


def are_merges_in_a_row(names: str, merges: str) -> bool:
    """Tell whether tokens that follow each other are what the merges make, one by one: then `check_merge_order` passes.

    That is so in most vocabularies, and quickly seen. Names, and merges, have zeros between them.
    """
    made = merges.replace(" ", "")
    return merges.count(" ") == merges.count("\0") + 1 and f"\0{made}\0" in f"\0{names}\0"


def check_merge_order(ids: Mapping[str, int], merges: Sequence[str], *, several_ways: bool) -> None:
    """Check that merging by the lowest id is merging in the listed order, see `BytePairEncoder`.

    With `several_ways`, as in Llama 3, the list has every pair that makes a token.

    Raises:
        TokenizerError: it is not.
    """
    made = [ids.get(merge.replace(" ", "", 1), -1) for merge in merges]
    least, is_in_order = (0, operator.le) if several_ways else (-1, operator.lt)
    in_order = list(map(is_in_order, [least, *made], made))
    if not all(in_order):
        merge = merges[in_order.index(False)]
        raise TokenizerError(f"merge {merge!r:.80} does not make a token with a higher id than the merge before it")


def merges_by_id(tokens: Sequence[bytes], literal: frozenset[int]) -> Iterator[str]:
    """List the merges of a vocabulary that is merged by ids: for each token every pair of tokens that makes it.

    The order is that of Llama 3's list, which Hugging Face made from the ids.
    """
    ids = {spell(token): id for id, token in enumerate(tokens) if id not in literal}
    for name in ids:
        lefts = [name[:cut] for cut in range(1, len(name)) if name[:cut] in ids and name[cut:] in ids]
        for left in sorted(lefts, key=ids.__getitem__):
            yield f"{left} {name[len(left) :]}"
