"""tokenizer.model of google/sentencepiece: a protocol buffer (sentencepiece_model.proto), as it stands in the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import TokenizerError
from .pieces import check_scores

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Types of pieces."""
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
"""Fields of ModelProto; of a piece: 1 its text, 2 its score, 3 its type."""
_MODEL_TYPE, _BYTE_FALLBACK, _UNK_ID, _BOS_ID, _EOS_ID = 3, 35, 40, 41, 42
_CHARSMAP, _ADD_DUMMY_PREFIX, _REMOVE_EXTRA_WHITESPACES, _ESCAPE_WHITESPACES = 2, 3, 4, 5
_UNIGRAM = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, kw_only=True)
class SentencePieceFile:
    """What the file says."""

    names: Sequence[str]
    scores: Sequence[float]
    types: Sequence[int]
    is_unigram: bool
    """Whether it was trained for the likeliest pieces of a text, not for merging pairs."""
    has_byte_fallback: bool
    unknown_id: int
    bos_id: int
    eos_id: int
    charsmap: bytes
    """Normalization of characters in SentencePiece's own form; empty: none."""
    has_dummy_prefix: bool
    """Whether a text gets a space in front."""
    removes_extra_spaces: bool
    escapes_spaces: bool

    @property
    def roles(self) -> dict[str, str]:
        """Names of the tokens that do something, as tokenizer_config.json calls them."""
        ids = {"unk_token": self.unknown_id, "bos_token": self.bos_id, "eos_token": self.eos_id}
        return {role: self.names[id] for role, id in ids.items() if 0 <= id < len(self.names)}


def read_sentencepiece_file(path: Path) -> SentencePieceFile:
    """Read the protocol buffer.

    Raises:
        TokenizerError: the file cannot be read, is none of SentencePiece, or has a score that is not a number.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{path}: {error.strerror or error}") from error
    try:
        file = _file(data)
        check_scores(file.scores)
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error):
        raise TokenizerError(f"{path}: not a model of SentencePiece, or damaged") from None
    return file


def _file(data: bytes) -> SentencePieceFile:
    fields = list(_fields(data))
    pieces = [dict(_fields(value)) for number, value in fields if number == _PIECES]
    trainer, normalizer = (dict(_fields(dict(fields).get(number, b""))) for number in (_TRAINER, _NORMALIZER))
    if not pieces:
        raise ValueError("no pieces")
    return SentencePieceFile(
        names=[piece[1].decode("utf-8", "replace") for piece in pieces],
        scores=[struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0 for piece in pieces],
        types=[_integer(piece, 3, NORMAL) for piece in pieces],
        is_unigram=_integer(trainer, _MODEL_TYPE, _UNIGRAM) == _UNIGRAM,
        has_byte_fallback=bool(_integer(trainer, _BYTE_FALLBACK, 0)),
        unknown_id=_integer(trainer, _UNK_ID, 0),
        bos_id=_integer(trainer, _BOS_ID, 1),
        eos_id=_integer(trainer, _EOS_ID, 2),
        charsmap=bytes(normalizer.get(_CHARSMAP, b"")),
        has_dummy_prefix=bool(_integer(normalizer, _ADD_DUMMY_PREFIX, 1)),
        removes_extra_spaces=bool(_integer(normalizer, _REMOVE_EXTRA_WHITESPACES, 1)),
        escapes_spaces=bool(_integer(normalizer, _ESCAPE_WHITESPACES, 1)),
    )


def _integer(message: Mapping[int, Any], field: int, default: int) -> int:
    value = message.get(field, default)
    if not isinstance(value, int):
        raise TypeError("a field has another type")
    return value


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
