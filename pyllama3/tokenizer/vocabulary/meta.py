"""Meta's tokenizer.model of Llama 3."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from ...errors import TokenizerError
from .base import BEGIN_OF_TEXT, BytePairs, Vocabulary
from .pre_tokenizers import LLAMA3
from .stops import find_stop_ids

_NAMED = {
    0: BEGIN_OF_TEXT,
    1: "<|end_of_text|>",
    4: "<|finetune_right_pad_id|>",
    5: "<|step_id|>",
    6: "<|start_header_id|>",
    7: "<|end_header_id|>",
    8: "<|eom_id|>",
    9: "<|eot_id|>",
    10: "<|python_tag|>",
    11: "<|image|>",
}
_SPECIAL_COUNT = 256


def read_tokenizer_model(path: Path) -> Vocabulary:
    """Read Meta's tokenizer.model of Llama 3: a line "base64-of-the-bytes rank" for each token, in any order.

    The 256 special tokens are not in the file; they follow the ranks (meta-llama/llama-models,
    models/llama3/tokenizer.py).

    Raises:
        TokenizerError: the file cannot be read or is damaged.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise TokenizerError(f"{path}: {error.strerror or error}") from error
    ranks: dict[bytes, int] = {}
    line_of_rank: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        try:
            encoded, rank_text = line.split()
            token, rank = base64.b64decode(encoded, validate=True), int(rank_text)
        except ValueError:
            raise TokenizerError(f"{path}: line {number} is not a token in base64 and its rank") from None
        if not 0 <= rank < len(lines):
            raise TokenizerError(f"{path}: line {number} has rank {rank}; allowed: 0 to {len(lines) - 1}")
        if rank in line_of_rank:
            raise TokenizerError(f"{path}: line {number} has rank {rank}, which line {line_of_rank[rank]} has already")
        if token in ranks:
            raise TokenizerError(f"{path}: line {number} has the token of line {line_of_rank[ranks[token]]} again")
        ranks[token] = rank
        line_of_rank[rank] = number
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise TokenizerError(f"{path}: {len(lines)} lines, and none of them is the single byte 0x{missing[0]:02x}")
    special = {name: len(ranks) + n for n, name in enumerate(_special_names())}
    return Vocabulary(
        tokens=[*sorted(ranks, key=ranks.__getitem__), *(name.encode() for name in special)],
        special=special,
        user_defined={},
        algorithm=BytePairs(pre=LLAMA3),
        bos_id=special[BEGIN_OF_TEXT],
        eos_id=special["<|end_of_text|>"],
        add_bos=True,
        stop_ids=frozenset(find_stop_ids(special)),
    )


def _special_names() -> Iterable[str]:
    reserved = 0
    for n in range(_SPECIAL_COUNT):
        if n in _NAMED:
            yield _NAMED[n]
        else:
            yield f"<|reserved_special_token_{reserved}|>"
            reserved += 1
