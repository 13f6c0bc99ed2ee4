"""The SentencePiece vocabulary of tests/data/sentencepiece.json, in GGUF metadata and in tokenizer.bin."""

from __future__ import annotations

import json
import struct
from typing import Any

from paths import DATA

from pyllama3.tokenizer.tokenizer import Tokenizer

ORACLE: dict[str, Any] = json.loads(DATA.joinpath("sentencepiece.json").read_text("utf-8"))
PIECES: list[str] = ORACLE["pieces"]
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
BYTES = frozenset(ORACLE["bytes"])
TYPES = [UNKNOWN, CONTROL, CONTROL, *(BYTE if id in BYTES else NORMAL for id in range(3, len(PIECES)))]

METADATA: dict[str, Any] = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": PIECES,
    "tokenizer.ggml.scores": ORACLE["scores"],
    "tokenizer.ggml.token_type": TYPES,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
}
TOKENIZER = Tokenizer.from_gguf(METADATA)


def tokenizer_bin(pieces: list[str] = PIECES, scores: list[float] = ORACLE["scores"]) -> bytes:
    """A tokenizer.bin as llama2.c's tokenizer.py writes it."""
    names = [piece.replace("▁", " ").encode() for piece in pieces]
    names[1:3] = [b"\n<s>\n", b"\n</s>\n"]
    entries = [struct.pack("<fi", score, len(name)) + name for score, name in zip(scores, names, strict=True)]
    return struct.pack("<i", max(map(len, names))) + b"".join(entries)
