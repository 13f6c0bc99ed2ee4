"""Vocabularies in GGUF metadata, the "tokenizer.ggml.*" keys, read as llama.cpp reads them (src/llama-vocab.cpp)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import TokenizerError
from ..string_array import StringArray
from .base import BEGIN_OF_TEXT, BytePairs, SentencePieces, Vocabulary
from .byte_level import spelled_out
from .pieces import check_scores, piece_byte, piece_bytes
from .pre_tokenizers import BY_NAME, DEFAULT, LLAMA3, PreTokenizer
from .stops import STOP_NAMES

PREFIX = "tokenizer.ggml."
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Values of tokenizer.ggml.token_type (ggml-org/ggml, docs/gguf.md)."""

_STOP_KEYS = (
    "eos_token_id",
    "eot_token_id",
    "eom_token_id",
    "fim_pad_token_id",
    "fim_rep_token_id",
    "fim_sep_token_id",
)
_ROLES = {
    "unk_token": "unknown_token_id",
    "sep_token": "seperator_token_id",
    "pad_token": "padding_token_id",
    "cls_token": "cls_token_id",
    "mask_token": "mask_token_id",
}
"""What chat templates call tokens, and the keys (spelled as files spell them)."""
_UNKNOWN_OF_PIECES, _BOS_OF_PIECES, _EOS_OF_PIECES = 0, 1, 2
"""Where SentencePiece vocabularies have them, unless a file says something else."""


def read_gguf_vocabulary(metadata: Mapping[str, Any]) -> Vocabulary:
    """Read the "tokenizer.ggml.*" keys of a GGUF file.

    Raises:
        TokenizerError: the vocabulary is missing, damaged, or of an unsupported kind.
    """
    model = metadata.get(f"{PREFIX}model")
    if model == "gpt2":
        return _read_byte_pairs(_Keys(metadata))
    if model == "llama":
        return _read_sentence_pieces(_Keys(metadata))
    found = "missing" if model is None else repr(model)
    raise TokenizerError(
        f"tokenizer.ggml.model is {found:.80}; supported: 'gpt2' (byte-level BPE), 'llama' (SentencePiece)"
    )


@dataclass
class _Keys:
    """The keys of a vocabulary, and what was assumed for those that are missing."""

    metadata: Mapping[str, Any]
    assumed: list[str] = field(default_factory=list)

    def get(self, name: str) -> Any:
        return self.metadata.get(PREFIX + name)

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name)
        if value is None:
            self.assumed.append(f"{PREFIX}{name}: {str(default).lower()}")
        return default if value is None else bool(value)

    def strings(self, name: str) -> Sequence[str]:
        value = self.get(name)
        if isinstance(value, StringArray) and value:
            return value
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise TokenizerError(f"{PREFIX}{name} is {'missing' if value is None else 'not an array of strings'}")
        return value

    def numbers(self, name: str, count: int, default: int) -> Sequence[Any]:
        """Return a number for each token; more than there are tokens are allowed."""
        value = self.get(name)
        if value is None:
            self.assumed.append(f"{PREFIX}{name}: {default} for all tokens")
            return [default] * count
        if not isinstance(value, list) or len(value) < count or not isinstance(value[0], (int, float)):
            raise TokenizerError(f"{PREFIX}{name} must have a number for each of the {count} tokens")
        return value[:count]

    def id(self, name: str, count: int, default: int | None = None) -> int | None:
        """Return the id of a token; one that is out of range counts as missing."""
        id = self.get(name)
        if type(id) is int and 0 <= id < count:
            return id
        if default is not None and default >= count:
            default = None
        if id is not None or default is not None:
            told = "" if id is None else f", as {id!r:.40} is not the id of a token"
            self.assumed.append(f"{PREFIX}{name}: {'none' if default is None else default}{told}")
        return default


@dataclass
class _Tokens:
    """Ids by what they are for."""

    special: dict[str, int]
    user_defined: dict[str, int]
    unused: frozenset[int]


def _sort_tokens(names: Sequence[str], types: Sequence[int], keys: _Keys) -> _Tokens:
    """Tell tokens apart by type; those whose names say that they end a text are special, whatever their type."""
    special: dict[str, int] = {}
    user_defined: dict[str, int] = {}
    unused = []
    for id, type in enumerate(types):
        if type in (NORMAL, BYTE):
            continue
        if type == USER_DEFINED:
            user_defined[names[id]] = id
        elif type in (CONTROL, UNKNOWN):
            special[names[id]] = id
        else:
            unused.append(id)
    for name in STOP_NAMES.difference(special).intersection(names):
        user_defined.pop(name, None)
        special[name] = list(names).index(name)
        keys.assumed.append(f"token {special[name]} {name}: special, though its type is another")
    return _Tokens(special, user_defined, frozenset(unused))


def _read_byte_pairs(keys: _Keys) -> Vocabulary:
    names = _named(keys.strings("tokens"))
    tokens = _sort_tokens(names, keys.numbers("token_type", len(names), NORMAL), keys)
    pre = _find_pre(keys, tokens.special)
    merges = keys.strings("merges") if keys.get("merges") is not None else None
    if merges is None:
        if pre.in_one is None:
            raise TokenizerError(f"{PREFIX}merges is missing")
        keys.assumed.append(f"{PREFIX}merges: those that the order of the tokens gives")
    bos_id = keys.id("bos_token_id", len(names), tokens.special.get(BEGIN_OF_TEXT))
    literal = frozenset([*tokens.special.values(), *tokens.user_defined.values(), *tokens.unused])
    return Vocabulary(
        tokens=spelled_out(names, literal),
        algorithm=BytePairs(pre=pre, names=names, merges=merges, ignore_merges=pre.ignore_merges),
        bos_id=bos_id,
        eos_id=keys.id("eos_token_id", len(names)),
        add_bos=keys.flag("add_bos_token", pre.add_bos) and bos_id is not None,
        **_common(keys, names, tokens),
    )


def _read_sentence_pieces(keys: _Keys) -> Vocabulary:
    names = _named(keys.strings("tokens"))
    types = keys.numbers("token_type", len(names), NORMAL)
    sorted_tokens = _sort_tokens(names, types, keys)
    literal = {*sorted_tokens.special.values(), *sorted_tokens.unused}
    bytes_by_id = {id: piece_byte(name) for id, name in enumerate(names) if name.startswith("<0x")}
    byte_ids = {byte: id for id, byte in bytes_by_id.items() if byte is not None}
    texts = [name.encode("utf-8", "replace") if id in literal else piece_bytes(name) for id, name in enumerate(names)]
    for byte, id in byte_ids.items():
        texts[id] = bytes([byte])
    scores = keys.numbers("scores", len(names), 0)
    check_scores(scores)
    bos_id = keys.id("bos_token_id", len(names), _BOS_OF_PIECES)
    user_defined = {texts[id].decode(): id for id in sorted_tokens.user_defined.values()}
    return Vocabulary(
        tokens=texts,
        algorithm=SentencePieces(
            scores=scores,
            byte_ids=byte_ids,
            space_prefix=keys.flag("add_space_prefix", True),
            unknown_id=keys.id("unknown_token_id", len(names), _UNKNOWN_OF_PIECES),
        ),
        bos_id=bos_id,
        eos_id=keys.id("eos_token_id", len(names), _EOS_OF_PIECES),
        add_bos=keys.flag("add_bos_token", True) and bos_id is not None,
        **_common(keys, names, _Tokens(sorted_tokens.special, user_defined, sorted_tokens.unused)),
    )


def _common(keys: _Keys, names: Sequence[str], tokens: _Tokens) -> dict[str, Any]:
    """Return the fields that vocabularies of both kinds have from the same keys."""
    roles = {role: keys.id(key, len(names)) for role, key in _ROLES.items()}
    stops: Iterable[int | None] = [
        *(id for name, id in tokens.special.items() if name in STOP_NAMES),
        *(keys.id(key, len(names)) for key in _STOP_KEYS),
    ]
    return {
        "special": tokens.special,
        "user_defined": tokens.user_defined,
        "unused": tokens.unused,
        "eot_id": keys.id("eot_token_id", len(names)),
        "stop_ids": frozenset(id for id in stops if id is not None),
        "template_tokens": {role: names[id] for role, id in roles.items() if id is not None},
        "assumed": tuple(dict.fromkeys(keys.assumed)),
    }


def _named(names: Sequence[str]) -> Sequence[str]:
    """Return the names of tokens, with one for those that have none."""
    return names if all(names) else [name or f"[EMPTY_{id}]" for id, name in enumerate(names)]


def _find_pre(keys: _Keys, special: Mapping[str, int]) -> PreTokenizer:
    """Choose by the name of the pre-tokenizer; early files of Llama 3 have none, or "default"."""
    name = keys.get("pre")
    if name in (None, "", "default"):
        found = LLAMA3 if BEGIN_OF_TEXT in special else DEFAULT
        if found.names[0] != name:
            keys.assumed.append(f"{PREFIX}pre: {found.names[0]}")
        return found
    if isinstance(name, str) and name in BY_NAME:
        return BY_NAME[name]
    raise TokenizerError(f"{PREFIX}pre is {name!r:.80}; supported: {', '.join(BY_NAME)}")
