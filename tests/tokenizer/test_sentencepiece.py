"""SentencePiece vocabularies, in GGUF metadata and in tokenizer.bin, against what Google's sentencepiece gives.

To add a case: a text in tests/data/make_sentencepiece.py, which writes its ids.
"""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_pieces import BYTES, METADATA, NORMAL, ORACLE, PIECES, TOKENIZER, TYPES, USER_DEFINED, tokenizer_bin

from pyllama3.errors import TokenizerError
from pyllama3.tokenizer.tokenizer import StreamDecoder, Tokenizer
from pyllama3.tokenizer.vocabulary import SentencePieces, gguf_metadata, read_gguf_vocabulary
from pyllama3.tokenizer.vocabulary.llama2c import read_tokenizer_bin


@pytest.fixture
def bin_path(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.bin"
    path.write_bytes(tokenizer_bin())
    return path


def test_ids_equal_those_of_sentencepiece(bin_path: Path) -> None:
    assert len(ORACLE["cases"]) > 600
    from_bin = Tokenizer(read_tokenizer_bin(bin_path, len(PIECES)))
    for text, ids in ORACLE["cases"]:
        if "▁" not in text:  # sentencepiece takes it for a space
            assert TOKENIZER.encode(text) == ids, text
            assert from_bin.encode(text) == ids, text
            assert TOKENIZER.decode(ids) == text


def merged_naively(text: str) -> list[int]:
    """The plain form of merging: the whole text is searched for the best pair again and again."""
    ids = {piece: id for id, (piece, type) in enumerate(zip(PIECES, TYPES, strict=True)) if type == NORMAL}
    parts = list(f" {text}".replace(" ", "▁")) if text else []
    while True:
        pairs = [(ORACLE["scores"][ids[a + b]], -i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ids]
        if not pairs:
            break
        at = -max(pairs)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    names = [name for part in parts for name in ([part] if part in ids else map("<0x{:02X}>".format, part.encode()))]
    return [PIECES.index(name) for name in names]


texts = st.text("aeimnorst, .1é漢\n", max_size=60) | st.text(max_size=20).filter(lambda text: "▁" not in text)


@settings(max_examples=300, deadline=None)
@given(texts)
def test_merging_equals_the_plain_form_and_decodes_to_the_text(text: str) -> None:
    assert TOKENIZER.encode(text) == merged_naively(text)
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_long_texts_take_no_square_time() -> None:
    text = "Once upon a time, " * 5000
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_special_tokens_only_when_asked_for() -> None:
    assert TOKENIZER.encode("<s>", special=True) == [1]
    assert 1 not in TOKENIZER.encode("<s>")
    assert TOKENIZER.encode("a</s>b", special=True) == [*TOKENIZER.encode("a"), 2, *TOKENIZER.encode("b")]
    assert (TOKENIZER.bos_id, TOKENIZER.eos_id, TOKENIZER.add_bos, TOKENIZER.stop_ids) == (1, 2, True, {2})
    assert not TOKENIZER.is_special(min(BYTES))


def test_bytes_are_decoded_as_they_come() -> None:
    ids = [PIECES.index(f"<0x{byte:02X}>") for byte in "é\n".encode()]
    decoder = StreamDecoder(TOKENIZER)
    assert [decoder.feed(id) for id in ids] == ["", "é", "\n"]


def test_a_stream_keeps_its_first_space() -> None:
    """It goes on behind a prompt, whereas `decode` begins a text."""
    space = TOKENIZER.encode("Tim")[0]
    assert StreamDecoder(TOKENIZER).feed(space).startswith(" ")


def test_user_defined_tokens_and_no_space_in_front() -> None:
    types = [*TYPES[:-1], USER_DEFINED]
    changes = {"tokenizer.ggml.token_type": types, "tokenizer.ggml.add_space_prefix": False}
    changed = METADATA | changes | {"tokenizer.ggml.tokens": [*PIECES[:-1], "▁▁x"]}
    tokenizer = Tokenizer.from_gguf(changed)
    last = len(PIECES) - 1
    assert tokenizer.encode("a  xa") == [*tokenizer.encode("a"), last, *tokenizer.encode("a")]
    assert tokenizer.decode([last]) == "  x"
    assert tokenizer.decode(tokenizer.encode(" a")) == " a"


def test_tokenizer_bin_ends_texts_with_either_token(bin_path: Path) -> None:
    vocabulary = read_tokenizer_bin(bin_path, len(PIECES))
    assert (vocabulary.bos_id, vocabulary.eos_id, vocabulary.add_bos) == (1, 2, True)
    assert vocabulary.stop_ids == {1, 2}
    assert dict(vocabulary.special) == {"<unk>": 0, "<s>": 1, "</s>": 2}


def test_metadata_of_a_vocabulary_is_read_as_the_same_one() -> None:
    vocabulary = read_gguf_vocabulary(METADATA)
    again = read_gguf_vocabulary(gguf_metadata(vocabulary, len(PIECES)))
    assert isinstance(vocabulary.algorithm, SentencePieces)
    assert again.algorithm == vocabulary.algorithm or vars(again.algorithm) == vars(vocabulary.algorithm)
    for field in ("tokens", "special", "user_defined", "bos_id", "eos_id", "eot_id", "add_bos", "stop_ids"):
        assert getattr(again, field) == getattr(vocabulary, field), field


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [1.0]}, f"tokenizer.ggml.scores must have a number for each of the {len(PIECES)} tokens"),
        ({"scores": [math.nan] * len(PIECES)}, "the score of token 0 is not a number"),
    ],
)
def test_bad_metadata(changes: dict[str, Any], message: str) -> None:
    metadata = METADATA | {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    with pytest.raises(TokenizerError, match=message):
        Tokenizer.from_gguf(metadata)


def test_what_a_file_may_be_silent_about() -> None:
    """Without scores, types and ids: zeros, names that are bytes, and SentencePiece's own ids, as in llama.cpp."""
    keys = ("scores", "token_type", "bos_token_id", "eos_token_id", "unknown_token_id", "add_bos_token")
    metadata = METADATA | dict.fromkeys([f"tokenizer.ggml.{key}" for key in keys])
    vocabulary = read_gguf_vocabulary(metadata)
    assert (vocabulary.bos_id, vocabulary.eos_id, vocabulary.add_bos, vocabulary.stop_ids) == (1, 2, True, {2})
    tokenizer = Tokenizer(vocabulary)
    assert tokenizer.decode(tokenizer.encode("a\n\u20ac")) == "a\n\u20ac"
    assert any("scores: 0 for all tokens" in line for line in vocabulary.assumed)
    beyond = read_gguf_vocabulary(METADATA | {"tokenizer.ggml.bos_token_id": len(PIECES)})
    assert beyond.bos_id == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tokenizer_bin()[:-1], f"token {len(PIECES) - 1} does not fit into"),
        (tokenizer_bin()[: 4 + 8 + 5 + 3], "token 1 does not fit into"),
        (tokenizer_bin()[:4] + struct.pack("<fi", 0, -5), "token 0 does not fit into"),
        (tokenizer_bin()[:4] + struct.pack("<fi", 0, 2**31 - 1), "token 0 does not fit into"),
        (
            tokenizer_bin(PIECES[:-1], ORACLE["scores"][:-1]),
            f"has {len(PIECES) - 1} tokens, the model has",
        ),
        (b"", f"has 0 tokens, the model has {len(PIECES)}"),
        (tokenizer_bin(scores=[math.nan] * len(PIECES)), "the score of token 0 is not a number"),
    ],
)
def test_bad_tokenizer_bin(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "tokenizer.bin"
    path.write_bytes(data)
    with pytest.raises(TokenizerError, match=message) as info:
        read_tokenizer_bin(path, len(PIECES))
    assert "\n" not in str(info.value)


def test_missing_tokenizer_bin(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="No such file"):
        read_tokenizer_bin(tmp_path / "tokenizer.bin", 5)
