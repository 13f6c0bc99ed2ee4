"""tokenizer.model of google/sentencepiece: pieces with scores in a protocol buffer (sentencepiece_model.proto)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import TokenizerError
from .base import SentencePieces, Vocabulary
from .huggingface_added import read_added_tokens, template_tokens
from .pieces import check_scores, piece_byte, piece_bytes
from .stops import find_stop_ids

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
"""Fields of ModelProto; of a piece: 1 its text, 2 its score, 3 its type."""
_MODEL_TYPE, _BPE = 3, 2
_UNK_ID, _BOS_ID, _EOS_ID = 40, 41, 42
_ADD_DUMMY_PREFIX = 3
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_sentencepiece_model(
    path: Path, *, config: Mapping[str, Any], added: Mapping[str, Any], stop_ids: Any, vocab_size: int
) -> Vocabulary:
    """Read a model of type BPE, with the tokens that tokenizer_config.json and added_tokens.json add.

    A text gets a space in front, but with the "legacy" of the configuration each part between added tokens does.

    Raises:
        TokenizerError: the file cannot be read, is damaged, or is of another type.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{path}: {error.strerror or error}") from error
    try:
        fields = list(_fields(data))
        pieces = [dict(_fields(value)) for number, value in fields if number == _PIECES]
        trainer, normalizer = (dict(_fields(dict(fields).get(number, b""))) for number in (_TRAINER, _NORMALIZER))
        names = [piece[1].decode("utf-8", "replace") for piece in pieces]
        scores = [struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0 for piece in pieces]
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error):
        raise TokenizerError(f"{path}: not a model of SentencePiece, or damaged") from None
    type = trainer.get(_MODEL_TYPE, 1)
    if not names or type != _BPE:
        raise TokenizerError(f"{path}: the model is of type {type!r:.20}; supported: {_BPE} (BPE)")
    types = [piece.get(3, _NORMAL) for piece in pieces]
    check_scores(scores)
    ids = {name: id for id, name in enumerate(names)}
    tokens = read_added_tokens([], config, added, ids)
    special = {name: id for id, name in enumerate(names) if types[id] in (_CONTROL, _UNKNOWN)}
    user_defined = {name: id for id, name in enumerate(names) if types[id] == _USER_DEFINED}
    for token in tokens.values():
        (special if token.special else user_defined)[token.content] = token.id
        if token.special:
            user_defined.pop(token.content, None)
    count = max(vocab_size, len(names), *(token.id + 1 for token in tokens.values()), 0)
    by_id = {id: name for name, id in {**ids, **special, **user_defined}.items()}
    bytes_by_id = {id: piece_byte(name) for id, name in enumerate(names) if types[id] == _BYTE}
    byte_ids = {byte: id for id, byte in bytes_by_id.items() if byte is not None}
    texts = [piece_bytes(by_id.get(id, f"[PAD{id}]")) for id in range(count)]
    for id in special.values():
        texts[id] = by_id[id].encode("utf-8", "replace")
    for byte, id in byte_ids.items():
        texts[id] = bytes([byte])
    bos_id, eos_id = (
        _named_id(config.get(key), by_id, trainer.get(field, default))
        for key, field, default in (("bos_token", _BOS_ID, 1), ("eos_token", _EOS_ID, 2))
    )
    stops = [eos_id, *find_stop_ids(special), *(stop_ids if isinstance(stop_ids, list) else [stop_ids])]
    unused = frozenset(id for id in range(count) if id not in by_id or (id < len(types) and types[id] == _UNUSED))
    return Vocabulary(
        tokens=texts,
        special=special,
        user_defined=user_defined,
        algorithm=SentencePieces(
            scores=[*scores, *([0.0] * (count - len(scores)))],
            byte_ids=byte_ids,
            space_prefix=bool(normalizer.get(_ADD_DUMMY_PREFIX, 1)) and bool(config.get("add_prefix_space", True)),
            prefix_after_tokens=bool(config.get("legacy")),
            prefix_before_space=False,
            unknown_id=trainer.get(_UNK_ID, 0),
        ),
        bos_id=bos_id,
        eos_id=eos_id,
        add_bos=bos_id is not None and bool(config.get("add_bos_token", True)),
        stop_ids=frozenset(id for id in stops if isinstance(id, int) and id < vocab_size),
        unused=unused,
        template_tokens=template_tokens(config),
        edges={token.content: token.edges for token in tokens.values() if token.edges is not None},
    )


def _named_id(token: Any, by_id: Mapping[int, str], default: int) -> int | None:
    name = token.get("content") if isinstance(token, dict) else token
    found = next((id for id, other in by_id.items() if other == name), default)
    return found if found in by_id else None


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the numbers and values of the fields of a message.

    Raises:
        ValueError, IndexError, TypeError: the bytes are no message.
    """
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        value: Any
        if kind == _VARINT:
            value, position = _varint(data, position)
            if value >> 63:
                value -= 1 << 64
        elif kind in (_FIXED32, _FIXED64, _BYTES):
            size = 4 if kind == _FIXED32 else 8
            if kind == _BYTES:
                size, position = _varint(data, position)
            if position + size > len(data):
                raise ValueError("a field ends behind the message")
            value, position = data[position : position + size], position + size
        else:
            raise ValueError("a field has no known type")
        yield number, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[position]
        value |= (byte & 127) << shift
        position += 1
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("a number is too long")
