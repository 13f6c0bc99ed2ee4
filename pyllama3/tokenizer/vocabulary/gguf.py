"""Vocabularies in GGUF metadata, the "tokenizer.ggml.*" keys (ggml-org/ggml, docs/gguf.md), read and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import TokenizerError
from ..string_array import StringArray
from .base import BEGIN_OF_TEXT, BytePairs, SentencePieces, Vocabulary, find_stop_ids
from .byte_level import (
    LLAMA3_PATTERN,
    SMOLLM_PATTERN,
    are_merges_in_a_row,
    check_merge_order,
    merges_by_id,
    spell,
    spelled_out,
)
from .pieces import byte_name, check_pieces, piece_byte, piece_bytes, piece_name

_LLAMA_BPE = frozenset({"llama-bpe", "llama3", "llama-v3", "smaug-bpe"})
"""Names of Llama 3's pre-tokenizer; some early files say smaug-bpe (ggml-org/llama.cpp#7724)."""
_SMOLLM = "smollm"
_PRE = {LLAMA3_PATTERN: "llama-bpe", SMOLLM_PATTERN: _SMOLLM}

_NORMAL, _CONTROL, _USER_DEFINED, _BYTE = 1, 3, 4, 6
"""Values of tokenizer.ggml.token_type; the others (unknown, unused) are special here, as control tokens are."""

_STOP_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")


def read_gguf_vocabulary(metadata: Mapping[str, Any]) -> Vocabulary:
    """Read the "tokenizer.ggml.*" keys of a GGUF file.

    Raises:
        TokenizerError: the vocabulary is missing, damaged, or of an unsupported kind.
    """
    model = metadata.get("tokenizer.ggml.model")
    if model == "gpt2":
        return _read_byte_pairs(metadata)
    if model == "llama":
        return _read_sentence_pieces(metadata)
    found = "missing" if model is None else repr(model)
    raise TokenizerError(
        f"tokenizer.ggml.model is {found}; supported: 'gpt2' (byte-level BPE), 'llama' (SentencePiece)"
    )


def gguf_metadata(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the "tokenizer.ggml.*" keys of a vocabulary; `read_gguf_vocabulary` makes the same one of them."""
    ids = {"bos_token_id": vocabulary.bos_id, "eos_token_id": vocabulary.eos_id, "eot_token_id": vocabulary.eot_id}
    algorithm = vocabulary.algorithm
    special, added = frozenset(vocabulary.special.values()), frozenset(vocabulary.user_defined.values())
    literal = special | added
    tokens = vocabulary.tokens
    types = {**dict.fromkeys(special, _CONTROL), **dict.fromkeys(added, _USER_DEFINED)}
    keys: dict[str, Any]
    if isinstance(algorithm, BytePairs):
        merges = algorithm.merges
        keys = {
            "model": "gpt2",
            "pre": _PRE[algorithm.pattern],
            "tokens": [vocabulary.name(id) if id in literal else spell(token) for id, token in enumerate(tokens)],
            "merges": list(merges_by_id(tokens, literal) if merges is None else merges),
        }
    else:
        types |= dict.fromkeys(algorithm.byte_ids.values(), _BYTE)
        names = [vocabulary.name(id) if id in special else piece_name(token) for id, token in enumerate(tokens)]
        for byte, id in algorithm.byte_ids.items():
            names[id] = byte_name(byte)
        keys = {
            "model": "llama",
            "tokens": names,
            "scores": list(algorithm.scores),
            "add_space_prefix": algorithm.space_prefix,
        }
    keys |= {"token_type": [types.get(id, _NORMAL) for id in range(len(tokens))], "add_bos_token": vocabulary.add_bos}
    keys |= {key: id for key, id in ids.items() if id is not None}
    return {f"tokenizer.ggml.{key}": value for key, value in keys.items()}


def _read_byte_pairs(metadata: Mapping[str, Any]) -> Vocabulary:
    names = _strings(metadata, "tokens")
    types = _numbers(metadata, "token_type", len(names))
    added = [id for id, type in enumerate(types) if type != _NORMAL]
    special = {names[id]: id for id in added if types[id] != _USER_DEFINED}
    user_defined = {names[id]: id for id in added if types[id] == _USER_DEFINED}
    pattern = _find_pattern(metadata.get("tokenizer.ggml.pre"), special)
    merges = None
    if pattern == SMOLLM_PATTERN:
        merges = _strings(metadata, "merges")
        if not are_merges_in_a_row(_joined(names), _joined(merges)):
            check_merge_order({name: id for id, name in enumerate(names)}, merges, several_ways=False)
    bos_id = _id(metadata, "bos_token_id", len(names))
    if bos_id is None:
        bos_id = special.get(BEGIN_OF_TEXT)
    add_bos = metadata.get("tokenizer.ggml.add_bos_token", pattern == LLAMA3_PATTERN)
    return Vocabulary(
        tokens=spelled_out(names, frozenset([*special.values(), *user_defined.values()])),
        special=special,
        user_defined=user_defined,
        algorithm=BytePairs(pattern=pattern, merges=merges),
        bos_id=bos_id,
        eos_id=_id(metadata, "eos_token_id", len(names)),
        eot_id=_id(metadata, "eot_token_id", len(names)),
        add_bos=bool(add_bos) and bos_id is not None,
        stop_ids=_stop_ids(metadata, special, len(names)),
    )


def _read_sentence_pieces(metadata: Mapping[str, Any]) -> Vocabulary:
    names = _strings(metadata, "tokens")
    types = _numbers(metadata, "token_type", len(names))
    tokens, special, user_defined, byte_ids = [], {}, {}, {}
    for id, (name, type) in _enumerate(names, types):
        token = piece_bytes(name)
        byte = piece_byte(name) if type == _BYTE else None
        if byte is not None:
            token = bytes([byte])
            byte_ids[byte] = id
        elif type == _USER_DEFINED:
            user_defined[token.decode()] = id
        elif type != _NORMAL:
            token = name.encode()
            special[name] = id
        tokens.append(token)
    scores = _numbers(metadata, "scores", len(names))
    check_pieces(byte_ids, scores)
    bos_id = _id(metadata, "bos_token_id", len(names))
    return Vocabulary(
        tokens=tokens,
        special=special,
        user_defined=user_defined,
        algorithm=SentencePieces(
            scores=scores,
            byte_ids=byte_ids,
            space_prefix=bool(metadata.get("tokenizer.ggml.add_space_prefix", True)),
        ),
        bos_id=bos_id,
        eos_id=_id(metadata, "eos_token_id", len(names)),
        eot_id=_id(metadata, "eot_token_id", len(names)),
        add_bos=bool(metadata.get("tokenizer.ggml.add_bos_token", True)) and bos_id is not None,
        stop_ids=_stop_ids(metadata, special, len(names)),
    )


def _enumerate(names: Sequence[str], types: Sequence[Any]) -> enumerate[tuple[str, Any]]:
    return enumerate(zip(names, types, strict=True))


def _strings(metadata: Mapping[str, Any], name: str) -> Sequence[str]:
    key = f"tokenizer.ggml.{name}"
    value = metadata.get(key)
    if isinstance(value, StringArray) and value:
        return value
    if not isinstance(value, Sequence) or not value or not isinstance(value[0], str):
        raise TokenizerError(f"{key} is {'missing' if value is None else 'not an array of strings'}")
    return value


def _joined(strings: Sequence[str]) -> str:
    return strings.joined() if isinstance(strings, StringArray) else "\0".join(strings)


def _numbers(metadata: Mapping[str, Any], name: str, count: int) -> Sequence[Any]:
    key = f"tokenizer.ggml.{name}"
    value = metadata.get(key)
    if not isinstance(value, list) or len(value) != count or not isinstance(value[0], (int, float)):
        raise TokenizerError(f"{key} must have a number for each of the {count} tokens")
    return value


def _id(metadata: Mapping[str, Any], key: str, vocab_size: int) -> int | None:
    id = metadata.get(f"tokenizer.ggml.{key}")
    if id is not None and (type(id) is not int or not 0 <= id < vocab_size):
        raise TokenizerError(f"tokenizer.ggml.{key} is {id!r:.40}; allowed: 0 to {vocab_size - 1}")
    return id


def _stop_ids(metadata: Mapping[str, Any], special: Mapping[str, int], vocab_size: int) -> frozenset[int]:
    ids = [_id(metadata, key, vocab_size) for key in _STOP_KEYS]
    return frozenset(find_stop_ids(special) | {id for id in ids if id is not None})


def _find_pattern(pre: Any, special: Mapping[str, int]) -> str:
    """Choose by the name of the pre-tokenizer; early files of Llama 3 have none, or "default"."""
    if pre in _LLAMA_BPE or (pre in (None, "default") and BEGIN_OF_TEXT in special):
        return LLAMA3_PATTERN
    if pre == _SMOLLM:
        return SMOLLM_PATTERN
    found = "missing" if pre is None else repr(pre)
    raise TokenizerError(f"tokenizer.ggml.pre is {found}; supported: {', '.join(sorted([*_LLAMA_BPE, _SMOLLM]))}")
