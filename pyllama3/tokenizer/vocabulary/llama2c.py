"""tokenizer.bin of karpathy/llama2.c: a SentencePiece vocabulary with scores."""

from __future__ import annotations

import struct
from pathlib import Path

from ...errors import TokenizerError
from .base import SentencePieces, Vocabulary
from .pieces import check_scores, piece_byte

_LENGTH = struct.Struct("<i")
_ENTRY = struct.Struct("<fi")
_UNKNOWN, _BOS, _EOS = 0, 1, 2
"""Ids of the special tokens, which SentencePiece gave to Llama 2."""


def read_tokenizer_bin(path: Path, vocab_size: int) -> Vocabulary:
    """Read the longest length of a token, and for each token its score, its length and its bytes.

    Spaces stand for themselves; single bytes are spelled <0x0A> (llama2.c, tokenizer.py, `export`). A text begins with
    BOS and a space, and in the stories that llama2.c was made for BOS also ends it.

    Raises:
        TokenizerError: the file cannot be read, is damaged, or has another number of tokens.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{path}: {error.strerror or error}") from error
    tokens: list[bytes] = []
    scores: list[float] = []
    byte_ids: dict[int, int] = {}
    position = _LENGTH.size
    while position < len(data):
        start = position + _ENTRY.size
        score, length = _ENTRY.unpack_from(data, position) if start <= len(data) else (0.0, -1)
        position = start + length
        if length < 0 or position > len(data):
            raise TokenizerError(f"{path}: token {len(tokens)} does not fit into {len(data)} bytes: truncated?")
        token = data[start:position]
        byte = piece_byte(token.decode("utf-8", "replace"))
        if byte is not None:
            byte_ids[byte] = len(tokens)
            token = bytes([byte])
        tokens.append(token)
        scores.append(score)
    if len(tokens) != vocab_size:
        raise TokenizerError(f"{path}: has {len(tokens)} tokens, the model has {vocab_size}")
    try:
        check_scores(scores)
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from error
    special = {}
    for id in (_UNKNOWN, _BOS, _EOS):
        tokens[id] = tokens[id].strip()  # "\n<s>\n": llama2.c shows it so
        special[tokens[id].decode("utf-8", "replace")] = id
    return Vocabulary(
        tokens=tokens,
        special=special,
        user_defined={},
        algorithm=SentencePieces(scores=scores, byte_ids=byte_ids, space_prefix=True, unknown_id=_UNKNOWN),
        bos_id=_BOS,
        eos_id=_EOS,
        add_bos=True,
        stop_ids=frozenset({_BOS, _EOS}),
    )
