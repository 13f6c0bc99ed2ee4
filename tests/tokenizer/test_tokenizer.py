"""Byte-level tokenizers against Hugging Face `tokenizers` and tiktoken.

To add a case: a text in `SNIPPETS` of tests/support/odd_texts.py, from which random ones are put together.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from gguf_files import (
    BYTE_TO_CHARACTER,
    CHATML_SPECIAL,
    LLAMA3_SPECIAL,
    NORMAL,
    USER_DEFINED,
    VOCAB_SIZE,
    spell,
    vocabulary,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_texts import MIXED, SNIPPETS, varied_texts
from tokenizers import Regex, models, pre_tokenizers

from pyllama3.errors import TokenizerError
from pyllama3.tokenizer import byte_pairs
from pyllama3.tokenizer.tokenizer import StreamDecoder, Tokenizer
from pyllama3.tokenizer.vocabulary import BytePairs, read_gguf_vocabulary
from pyllama3.tokenizer.vocabulary.byte_level import merges_by_id
from pyllama3.tokenizer.vocabulary.meta import read_tokenizer_model
from pyllama3.weights.formats.gguf import read_gguf

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

SPECIAL_NAMES = (*LLAMA3_SPECIAL, *CHATML_SPECIAL, "<|eom_id|>", "<filename>")

texts = (
    st.text()
    | st.text(MIXED)
    | st.lists(st.sampled_from(SNIPPETS)).map("".join)
    | st.lists(st.sampled_from([*SPECIAL_NAMES, "<|", "|>", " ", "a"])).map("".join)
)


def hugging_face_llama3(tokens: Sequence[str], merges: Sequence[tuple[str, str]]) -> tokenizers.Tokenizer:
    bpe = models.BPE({token: id for id, token in enumerate(tokens)}, list(merges), ignore_merges=True)
    result = tokenizers.Tokenizer(bpe)
    split = pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated")
    result.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    return result


def hugging_face_smollm(tokens: Sequence[str], merges: Sequence[tuple[str, str]]) -> tokenizers.Tokenizer:
    result = tokenizers.Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, list(merges)))
    digits = pre_tokenizers.Digits(individual_digits=True)
    result.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(False, use_regex=True)])
    return result


def assert_equal_ids(ours: Tokenizer, theirs: tokenizers.Tokenizer, cases: Iterator[str]) -> None:
    for text in cases:
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids, ascii(text)


def pairs(merges: Sequence[str]) -> list[tuple[str, str]]:
    return [(left, right) for left, right in (merge.split(" ") for merge in merges)]


def every_character(step: int) -> Iterator[str]:
    for code in range(0, sys.maxunicode + 1, step):
        if not 0xD800 <= code <= 0xDFFF:
            yield f"a {chr(code)}b 1{chr(code)} {chr(code)}"


TOY_TOKENIZERS = [Tokenizer.from_gguf(vocabulary()), Tokenizer.from_gguf(vocabulary(CHATML_SPECIAL, pre="smollm"))]
TOY_WITNESSES = [
    make(vocabulary()["tokenizer.ggml.tokens"], pairs(vocabulary()["tokenizer.ggml.merges"]))
    for make in (hugging_face_llama3, hugging_face_smollm)
]


@pytest.fixture(scope="module")
def llama3() -> Tokenizer:
    return Tokenizer.from_gguf(vocabulary())


@pytest.fixture(scope="module")
def smollm() -> Tokenizer:
    return Tokenizer.from_gguf(vocabulary(CHATML_SPECIAL, pre="smollm"))


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The vocabulary with some "tokenizer.ggml." keys changed, or removed by None."""
    metadata = vocabulary() | {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    return {key: value for key, value in metadata.items() if value is not None}


@settings(max_examples=500, deadline=None)
@given(texts)
def test_round_trip_and_no_special_tokens_from_text(text: str) -> None:
    for tokenizer in TOY_TOKENIZERS:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert not any(map(tokenizer.is_special, ids))
        assert tokenizer.decode(tokenizer.encode(text, special=True)) == text


@settings(max_examples=500, deadline=None)
@given(st.lists(st.integers(0, VOCAB_SIZE - 1)))
def test_decoding_token_by_token_equals_decoding_at_once(ids: list[int]) -> None:
    tokenizer = TOY_TOKENIZERS[0]
    decoder = StreamDecoder(tokenizer)
    assert "".join(map(decoder.feed, ids)) + decoder.flush() == tokenizer.decode(ids)


@settings(max_examples=500, deadline=None)
@given(texts)
def test_toy_vocabularies_equal_hugging_face(text: str) -> None:
    for ours, theirs in zip(TOY_TOKENIZERS, TOY_WITNESSES, strict=True):
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids


def test_special_tokens_only_when_asked_for(llama3: Tokenizer) -> None:
    bos, end, start_header, end_header, eot = range(llama3.vocab_size - 5, llama3.vocab_size)
    text = "<|start_header_id|>a<|end_header_id|><|eot_id|><|eot_id"
    marked = llama3.encode(text, special=True)
    assert marked[:4] == [start_header, *llama3.encode("a"), end_header, eot]
    assert marked[4:] == llama3.encode("<|eot_id")
    assert list(llama3.split_special("x<|eot_id|>")) == ["x", eot]
    assert not {bos, end, start_header, end_header, eot} & set(llama3.encode(text))
    assert [llama3.is_special(id) for id in (0, bos, eot)] == [False, True, True]
    assert set(llama3.special_names) == set(LLAMA3_SPECIAL)


def test_of_two_names_the_longer_one_counts() -> None:
    tokenizer = Tokenizer.from_gguf(vocabulary(("<a>", "<a><b>", "<|begin_of_text|>")))
    names = [tokenizer.token_name(id) for id in tokenizer.encode("<a><b><a>", special=True)]
    assert names == ["<a><b>", "<a>"]


def test_user_defined_tokens_are_text_which_is_never_split() -> None:
    metadata = vocabulary((*LLAMA3_SPECIAL, "<think>"))
    metadata["tokenizer.ggml.token_type"][-1] = USER_DEFINED
    tokenizer = Tokenizer.from_gguf(metadata)
    think = tokenizer.vocab_size - 1
    assert tokenizer.encode("a<think>b") == [*tokenizer.encode("a"), think, *tokenizer.encode("b")]
    assert not tokenizer.is_special(think)
    assert tokenizer.decode([think]) == "<think>"


def test_bytes_that_are_no_tokens_are_left_out() -> None:
    tokenizer = Tokenizer.from_gguf(vocabulary(CHATML_SPECIAL, pre="smollm", bytes_left_out=b"\x00\x04\xf1"))
    for text, kept in [("a\x04b", b"ab"), ("\x04\x00", b""), ("!\x04!", b"!!"), ("\U00040000", b"\x80\x80\x80")]:
        ids = tokenizer.encode(text)
        assert max(ids, default=0) < tokenizer.vocab_size
        assert b"".join(map(tokenizer.token_bytes, ids)) == kept
    assert len(tokenizer.encode("!\x04!")) == 2  # as in llama.cpp, what it stands between is not merged
    assert len(tokenizer.encode("!!")) == 1


def test_halves_of_surrogate_pairs_become_replacement_characters(llama3: Tokenizer) -> None:
    assert llama3.encode("a\ud800b") == llama3.encode("a\ufffdb")


def test_stream_decoder_holds_incomplete_characters_back(llama3: Tokenizer) -> None:
    ids = [byte_id(llama3, byte) for byte in "é😀".encode()]
    decoder = StreamDecoder(llama3)
    assert [decoder.feed(id) for id in ids] == ["", "é", "", "", "", "😀"]
    assert decoder.flush() == ""
    assert [decoder.feed(ids[2]), decoder.feed(byte_id(llama3, 0x61)), decoder.flush()] == ["", "\ufffda", ""]
    assert [decoder.feed(ids[2]), decoder.flush()] == ["", "\ufffd"]


def byte_id(tokenizer: Tokenizer, byte: int) -> int:
    return next(id for id in range(256) if tokenizer.token_bytes(id) == bytes([byte]))


def test_token_names_are_on_one_line(llama3: Tokenizer) -> None:
    names = {llama3.token_bytes(id): llama3.token_name(id) for id in range(llama3.vocab_size)}
    assert names[b" wo"] == " wo"
    assert names[b"\n\n"] == r"\n\n"
    assert names[b"\xe3\x81"] == r"\xe3\x81"
    assert names[b"\x00"] == r"\x00"
    assert names[b"<|eot_id|>"] == "<|eot_id|>"


@pytest.mark.parametrize("id", [-1, 10**9])
def test_ids_outside_the_vocabulary(llama3: Tokenizer, id: int) -> None:
    for use in (llama3.token_bytes, llama3.token_name, StreamDecoder(llama3).feed, lambda id: llama3.decode([id])):
        with pytest.raises(TokenizerError, match=f"there is no token {id}; allowed: 0 to {llama3.vocab_size - 1}"):
            use(id)


def test_bos_eos_and_stop_ids() -> None:
    tokenizer = Tokenizer.from_gguf(vocabulary())
    size = tokenizer.vocab_size
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.add_bos) == (size - 5, size - 1, True)
    assert tokenizer.stop_ids == {size - 4, size - 1}
    assert not Tokenizer.from_gguf(changed({"add_bos_token": False})).add_bos
    unnamed = Tokenizer.from_gguf(changed({"bos_token_id": None, "eos_token_id": None}))
    assert (unnamed.bos_id, unnamed.eos_id, unnamed.add_bos) == (size - 5, None, True)
    by_key = Tokenizer.from_gguf(changed({"eot_token_id": 7, "eom_token_id": 8}))
    assert by_key.stop_ids == {7, 8, size - 4, size - 1}
    smollm = Tokenizer.from_gguf(vocabulary(CHATML_SPECIAL, pre="smollm"))
    no_bos = vocabulary(CHATML_SPECIAL) | {"tokenizer.ggml.bos_token_id": None, "tokenizer.ggml.add_bos_token": True}
    assert not Tokenizer.from_gguf(no_bos).add_bos
    assert (smollm.stop_ids, smollm.add_bos) == ({smollm.vocab_size - 3, smollm.vocab_size - 1}, False)


@pytest.mark.parametrize("pre", ["llama-bpe", "llama3", "llama-v3", "smaug-bpe", "default", None])
def test_names_of_the_llama3_pre_tokenizer(llama3: Tokenizer, pre: str | None) -> None:
    tokenizer = Tokenizer.from_gguf(changed({"pre": pre}))
    assert tokenizer.encode("a 00000 B's") == llama3.encode("a 00000 B's")
    assert tokenizer.add_bos


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "bert"}, r"tokenizer.ggml.model is 'bert'; supported: 'gpt2' .*, 'llama'"),
        ({"model": None}, r"tokenizer.ggml.model is missing"),
        ({"pre": "nonsense"}, r"pre is 'nonsense'; supported: llama-bpe, llama3, llama-v3, smaug-bpe"),
        ({"tokens": None}, r"tokenizer.ggml.tokens is missing"),
        ({"tokens": [1, 2]}, r"tokenizer.ggml.tokens is not an array of strings"),
        ({"token_type": [NORMAL]}, f"token_type must have a number for each of the {VOCAB_SIZE} tokens"),
        ({"tokens": ["B", *vocabulary()["tokenizer.ggml.tokens"][1:]]}, r"tokens 0 and 66 are both 'B'"),
        ({"pre": "falcon", "merges": None}, r"tokenizer.ggml.merges is missing"),
    ],
)
def test_bad_vocabularies(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TokenizerError, match=message) as info:
        Tokenizer.from_gguf(changed(changes))
    assert "\n" not in str(info.value)


def test_what_a_file_may_be_silent_about() -> None:
    plain = changed({"token_type": None, "add_bos_token": None, "bos_token_id": -1, "pre": ""})
    read = read_gguf_vocabulary(plain)
    assert (read.bos_id, read.special) == (None, {"<|end_of_text|>": VOCAB_SIZE - 4, "<|eot_id|>": VOCAB_SIZE - 1})
    assert read.stop_ids == {VOCAB_SIZE - 1, VOCAB_SIZE - 4}
    assert len([line for line in read.assumed if "special, though" in line]) == 2
    assert {line.partition(":")[0].removeprefix("tokenizer.ggml.") for line in read.assumed} >= {
        *("token_type", "add_bos_token", "bos_token_id", "pre"),
    }


def test_tokens_outside_the_alphabet_mean_themselves() -> None:
    names = ["\u6f22\u5b57", "a b", "\u0120ok", *vocabulary()["tokenizer.ggml.tokens"][3:]]
    assert [Tokenizer.from_gguf(changed({"tokens": names})).token_bytes(id) for id in range(3)] == [
        "\u6f22\u5b57".encode(),
        b"a b",
        b" ok",
    ]


def model_lines(tokens: Sequence[bytes]) -> list[bytes]:
    return [base64.b64encode(token) + b" %d" % rank for rank, token in enumerate(tokens)]


BYTES = [bytes([byte]) for byte in range(256)]


def test_tokenizer_model_has_256_special_tokens_after_its_ranks(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(b"\n".join([*model_lines([*BYTES, b"ab"])[::-1], b""]))
    tokenizer = Tokenizer.from_tokenizer_model(path)
    assert tokenizer.vocab_size == 257 + 256
    assert tokenizer.encode("abba") == [256, 98, 97]
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.add_bos) == (257, 258, True)
    assert tokenizer.stop_ids == {257 + 1, 257 + 8, 257 + 9}
    named = {0: "begin_of_text", 2: "reserved_special_token_0", 3: "reserved_special_token_1", 8: "eom_id"}
    named |= {5: "step_id", 12: "reserved_special_token_2", 255: "reserved_special_token_245"}
    assert {n: tokenizer.token_name(257 + n) for n in named} == {n: f"<|{name}|>" for n, name in named.items()}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*model_lines(BYTES), b"%% 256"], "line 257 is not a token in base64 and its rank"),
        ([*model_lines(BYTES), b"YWI="], "line 257 is not a token in base64 and its rank"),
        ([*model_lines(BYTES), b"YWI= x"], "line 257 is not a token in base64 and its rank"),
        ([b"\x0a\x0e\x12\xff\xfe"], "line 1 is not a token in base64 and its rank"),
        ([*model_lines(BYTES), b"YWI= 3"], "line 257 has rank 3, which line 4 has already"),
        ([*model_lines(BYTES), b"YWI= 300"], "line 257 has rank 300; allowed: 0 to 256"),
        ([*model_lines(BYTES), b"YQ== 256"], "line 257 has the token of line 98 again"),
        (model_lines(BYTES[:-1]), "255 lines, and none of them is the single byte 0xff"),
        ([], "0 lines, and none of them is the single byte 0x00"),
    ],
)
def test_bad_tokenizer_models(tmp_path: Path, lines: list[bytes], message: str) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(TokenizerError) as info:
        Tokenizer.from_tokenizer_model(path)
    assert str(info.value) == f"{path}: {message}"


def test_missing_tokenizer_model(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="No such file"):
        Tokenizer.from_tokenizer_model(tmp_path / "tokenizer.model")


def split_as_meta_does(text: str) -> Iterator[str]:
    """The plain form of the guard: a count that starts again when a character is of the other class, or at a limit."""
    for start in range(0, len(text), 40):
        section = text[start : start + 40]
        run, begin, was_space = 0, 0, section[:1].isspace()
        for i, character in enumerate(section):
            if character.isspace() != was_space:
                run, was_space = 1, character.isspace()
            elif run == 5:
                yield section[begin:i]
                begin, run = i, 1
            else:
                run += 1
        yield section[begin:]


@settings(max_examples=1000, deadline=None)
@given(st.text("ab \n", max_size=200))
def test_long_texts_are_split_as_meta_does(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_pairs, "_MAX_CHARACTERS", 40)
        patch.setattr(byte_pairs, "_MAX_RUN", 5)
        assert list(byte_pairs._split_long(text)) == list(split_as_meta_does(text))


@pytest.mark.parametrize("unit", ["a", " ", "\n", "!", "'", "1", " \n", "漢", "a ", " \u3000"])
def test_very_long_texts(llama3: Tokenizer, smollm: Tokenizer, unit: str) -> None:
    text = unit * (500_000 // len(unit)) + "x"
    for tokenizer in (llama3, smollm):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_million_spaces_do_not_overflow_the_stack(llama3: Tokenizer) -> None:
    assert llama3.decode(llama3.encode(" " * 1_000_000 + "x")) == " " * 1_000_000 + "x"


def test_texts_above_the_limits_are_encoded_in_sections(llama3: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    by_id = Tokenizer.from_gguf(changed({"merges": None}))
    whole, sections = by_id.encode("hello"), by_id.encode("hel") + by_id.encode("lo")
    assert whole == llama3.encode("hello")
    monkeypatch.setattr(byte_pairs, "_MAX_RUN", 3)
    assert by_id.encode("hello") == sections != whole


def test_texts_below_the_limits_are_not_split(smollm: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["hello " * 4000 + "x" + "hello" * 4990, " " * 24_999 + "a"]
    guarded = [smollm.encode(text) for text in texts]
    monkeypatch.setattr(byte_pairs, "_split_long", lambda text: [text])
    assert [smollm.encode(text) for text in texts] == guarded


def test_smollm2_equals_hugging_face(smollm2_path: Path) -> None:
    metadata = read_gguf(smollm2_path).metadata
    names = metadata["tokenizer.ggml.tokens"]
    ours = Tokenizer.from_gguf(metadata)
    theirs = hugging_face_smollm(names, pairs(metadata["tokenizer.ggml.merges"]))
    assert ours.encode("Once upon a time") == [6403, 1980, 253, 655]
    assert_equal_ids(ours, theirs, varied_texts(ours, 1000))
    assert_equal_ids(ours, theirs, every_character(step=17))


def test_every_token_of_smollm2_is_what_its_text_is_merged_to(smollm2_path: Path) -> None:
    """What makes tiktoken's way of merging equal to a list of merges, see `Tokenizer`; no pre-tokenizer here."""
    metadata = read_gguf(smollm2_path).metadata
    names, special = metadata["tokenizer.ggml.tokens"], read_gguf_vocabulary(metadata).special
    merges = pairs(metadata["tokenizer.ggml.merges"])
    theirs = tokenizers.Tokenizer(models.BPE({name: id for id, name in enumerate(names)}, merges))
    for id, name in enumerate(names):
        if name not in special:
            assert theirs.encode(name, add_special_tokens=False).ids == [id], name


@pytest.fixture(scope="session")
def meta_llama3(llama3_tokenizer_model: Path) -> Tokenizer:
    return Tokenizer.from_tokenizer_model(llama3_tokenizer_model)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("\n\n", [271]),
        ("user", [882]),
        ("system", [9125]),
        ("assistant", [78191]),
        ("ipython", [23799, 4690]),
        ("What is 3333+777?", [3923, 374, 220, 8765, 18, 10, 15831, 30]),
        ("<|begin_of_text|><|eot_id|><|python_tag|>", [128000, 128009, 128010]),
    ],
)
def test_known_ids_of_llama3(meta_llama3: Tokenizer, text: str, ids: list[int]) -> None:
    assert meta_llama3.encode(text, special=True) == ids
    assert meta_llama3.decode(ids) == text


def test_llama3_equals_hugging_face(llama3_tokenizer_model: Path, meta_llama3: Tokenizer) -> None:
    vocabulary = read_tokenizer_model(llama3_tokenizer_model)
    normal = vocabulary.tokens[: len(vocabulary.tokens) - len(vocabulary.special)]
    ranks = {token: rank for rank, token in enumerate(normal)}
    merges: list[tuple[str, str]] = []
    for token in normal:
        splits = [(token[:i], token[i:]) for i in range(1, len(token))]
        known = [(ranks[left], ranks[right]) for left, right in splits if left in ranks and right in ranks]
        merges += [(spell(normal[left]), spell(normal[right])) for left, right in sorted(known)]
    assert len(merges) == 280_147
    theirs = hugging_face_llama3([spell(token) for token in normal], merges)
    unreachable = {" Việt", " jeho"}  # found as whole pieces only
    assert all(len(meta_llama3.encode(text)) == 1 for text in unreachable)
    assert_equal_ids(meta_llama3, theirs, varied_texts(meta_llama3, 1000))
    assert_equal_ids(meta_llama3, theirs, every_character(step=17))


def test_the_alphabet_is_complete(llama3: Tokenizer) -> None:
    assert len(set(BYTE_TO_CHARACTER.values())) == 256
    assert sorted(llama3.token_bytes(id) for id in range(256)) == BYTES


def test_which_vocabularies_are_merged_by_id(llama3_tokenizer_model: Path, smollm2_path: Path) -> None:
    """Those of Llama 3 and SmolLM, and none to which anything was added; the others follow their lists."""
    ours = read_tokenizer_model(llama3_tokenizer_model)
    merges = list(merges_by_id(ours.tokens, frozenset(ours.special.values())))
    assert byte_pairs.are_merged_by_id(ours, merges)
    assert not byte_pairs.are_merged_by_id(ours, merges[:-1])
    smollm = read_gguf_vocabulary(read_gguf(smollm2_path).metadata)
    assert isinstance(smollm.algorithm, BytePairs)
    assert smollm.algorithm.merges is not None
    assert byte_pairs.are_merged_by_id(smollm, smollm.algorithm.merges)
    assert not byte_pairs.are_merged_by_id(smollm, [*smollm.algorithm.merges, "a b"])


def test_extended_vocabularies_are_merged_by_their_list() -> None:
    names = [*vocabulary()["tokenizer.ggml.tokens"], "nk", "in", "ink"]
    types = [*vocabulary()["tokenizer.ggml.token_type"], NORMAL, NORMAL, NORMAL]
    merges = [*vocabulary()["tokenizer.ggml.merges"], "n k", "i n", "in k"]
    tokenizer = Tokenizer.from_gguf(changed({"tokens": names, "token_type": types, "merges": merges}))
    pieces = {text: [tokenizer.token_name(id) for id in tokenizer.encode(text)] for text in ("ink", "think", "in")}
    assert pieces == {"ink": ["ink"], "think": ["t", "h", "i", "nk"], "in": ["in"]}
