"""Vocabularies of byte-level BPE tokenizers, read from GGUF metadata or from Meta's tokenizer.model."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import TokenizerError

_LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)
"""How Llama 3 cuts text into pieces: `pat_str` of models/llama3/tokenizer.py in meta-llama/llama-models."""

_SMOLLM_PATTERN = (
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

_LLAMA_BPE = frozenset({"llama-bpe", "llama3", "llama-v3", "smaug-bpe"})
"""Names of Llama 3's pre-tokenizer; some early files say smaug-bpe (ggml-org/llama.cpp#7724)."""
_SMOLLM = "smollm"

_NORMAL, _USER_DEFINED = 1, 4
"""Values of tokenizer.ggml.token_type; all others (control, unknown, unused, byte) are special here."""

_BEGIN_OF_TEXT = "<|begin_of_text|>"
_STOP_NAMES = ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>", "<|im_end|>", "<|endoftext|>")
_STOP_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")

_LLAMA3_NAMED = {
    0: _BEGIN_OF_TEXT,
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
_LLAMA3_SPECIAL_COUNT = 256


def _gpt2_alphabet() -> dict[int, int]:
    """Map the characters in which GGUF spells bytes to bytes, for `codecs.charmap_encode`.

    Bytes that print stand for themselves, the other 68 for U+0100, U+0101, ... (openai/gpt-2, encoder.py).
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: byte for byte in printable} | {0x100 + n: byte for n, byte in enumerate(others)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """Everything a tokenizer is made of; ids index `tokens`."""

    tokens: Sequence[bytes]
    """Text of every token, for special tokens their name."""
    special: Mapping[str, int]
    """Control tokens by name: they mark structure and never come from a user's text."""
    user_defined: Mapping[str, int]
    """Added tokens which are ordinary text, but never split or merged."""
    pattern: str
    """Regular expression that cuts text into the pieces inside which tokens are merged."""
    bos_id: int | None
    eos_id: int | None
    add_bos: bool
    """Whether the model expects `bos_id` in front of every text."""
    stop_ids: frozenset[int]
    """Tokens that end a generation."""


def read_gguf_vocabulary(metadata: Mapping[str, Any]) -> Vocabulary:
    """Read the "tokenizer.ggml.*" keys of a GGUF file.

    Raises:
        TokenizerError: the vocabulary is missing, damaged, or of an unsupported kind.
    """
    model = metadata.get("tokenizer.ggml.model")
    if model != "gpt2":
        found = "missing" if model is None else repr(model)
        raise TokenizerError(f"tokenizer.ggml.model is {found}; supported: 'gpt2' (byte-level BPE)")
    names = _strings(metadata, "tokenizer.ggml.tokens")
    types = metadata.get("tokenizer.ggml.token_type")
    if not isinstance(types, Sequence) or len(types) != len(names):
        raise TokenizerError(f"tokenizer.ggml.token_type must have a number for each of the {len(names)} tokens")
    special = {
        name: id
        for id, (name, type) in enumerate(zip(names, types, strict=True))
        if type not in (_NORMAL, _USER_DEFINED)
    }
    user_defined = {name: id for id, (name, type) in enumerate(zip(names, types, strict=True)) if type == _USER_DEFINED}
    pattern = _find_pattern(metadata.get("tokenizer.ggml.pre"), special)
    if pattern == _SMOLLM_PATTERN:
        _check_merge_order(names, _strings(metadata, "tokenizer.ggml.merges"))
    bos_id = _id(metadata, "bos_token_id", len(names))
    if bos_id is None:
        bos_id = special.get(_BEGIN_OF_TEXT)
    add_bos = metadata.get("tokenizer.ggml.add_bos_token", pattern == _LLAMA3_PATTERN)
    stop_ids = {special[name] for name in _STOP_NAMES if name in special}
    stop_ids |= {id for key in _STOP_KEYS if (id := _id(metadata, key, len(names))) is not None}
    return Vocabulary(
        tokens=_spelled_out(names, types),
        special=special,
        user_defined=user_defined,
        pattern=pattern,
        bos_id=bos_id,
        eos_id=_id(metadata, "eos_token_id", len(names)),
        add_bos=bool(add_bos) and bos_id is not None,
        stop_ids=frozenset(stop_ids),
    )


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
    special = {name: len(ranks) + n for n, name in enumerate(_llama3_special_names())}
    return Vocabulary(
        tokens=[*sorted(ranks, key=ranks.__getitem__), *(name.encode() for name in special)],
        special=special,
        user_defined={},
        pattern=_LLAMA3_PATTERN,
        bos_id=special[_BEGIN_OF_TEXT],
        eos_id=special["<|end_of_text|>"],
        add_bos=True,
        stop_ids=frozenset(special[name] for name in _STOP_NAMES if name in special),
    )


def _llama3_special_names() -> Iterable[str]:
    reserved = 0
    for n in range(_LLAMA3_SPECIAL_COUNT):
        if n in _LLAMA3_NAMED:
            yield _LLAMA3_NAMED[n]
        else:
            yield f"<|reserved_special_token_{reserved}|>"
            reserved += 1


def _strings(metadata: Mapping[str, Any], key: str) -> Sequence[str]:
    value = metadata.get(key)
    if not isinstance(value, Sequence) or not value or not isinstance(value[0], str):
        raise TokenizerError(f"{key} is {'missing' if value is None else 'not an array of strings'}")
    return value


def _id(metadata: Mapping[str, Any], key: str, vocab_size: int) -> int | None:
    id = metadata.get(f"tokenizer.ggml.{key}")
    if id is not None and (type(id) is not int or not 0 <= id < vocab_size):
        raise TokenizerError(f"tokenizer.ggml.{key} is {id!r}; allowed: 0 to {vocab_size - 1}")
    return id


def _find_pattern(pre: Any, special: Mapping[str, int]) -> str:
    """Choose by the name of the pre-tokenizer; early files of Llama 3 have none."""
    if pre in _LLAMA_BPE or (pre is None and _BEGIN_OF_TEXT in special):
        return _LLAMA3_PATTERN
    if pre == _SMOLLM:
        return _SMOLLM_PATTERN
    found = "missing" if pre is None else repr(pre)
    raise TokenizerError(f"tokenizer.ggml.pre is {found}; supported: {', '.join(sorted([*_LLAMA_BPE, _SMOLLM]))}")


def _check_merge_order(names: Sequence[str], merges: Sequence[str]) -> None:
    """Check that merging by the lowest id is merging in the listed order, see `Tokenizer`."""
    ids = {name: id for id, name in enumerate(names)}
    last = -1
    for merge in merges:
        id = ids.get(merge.replace(" ", "", 1), -1)
        if id <= last:
            raise TokenizerError(f"merge {merge!r} does not make a token with a higher id than the merge before it")
        last = id


def _spelled_out(names: Sequence[str], types: Sequence[int]) -> list[bytes]:
    """Translate normal tokens from GPT-2's alphabet to the bytes they stand for; the others are literal."""
    alphabet = _gpt2_alphabet()
    tokens = []
    ids: dict[bytes, int] = {}
    for id, (name, type) in enumerate(zip(names, types, strict=True)):
        if type != _NORMAL:
            tokens.append(name.encode())
            continue
        try:
            token = codecs.charmap_encode(name, "strict", alphabet)[0]
        except UnicodeEncodeError:
            raise TokenizerError(f"token {id} {name!r} is not spelled in the alphabet of byte-level BPE") from None
        if ids.setdefault(token, id) != id:
            raise TokenizerError(f"tokens {ids[token]} and {id} are both {name!r}")
        tokens.append(token)
    return tokens
