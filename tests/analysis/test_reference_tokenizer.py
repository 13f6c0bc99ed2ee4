"""The tokenizer and its witness in plain Python give the same ids.

To add a case: a text in `SNIPPETS` of tests/support/odd_texts.py, from which random ones are put together.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf_files import CHATML_SPECIAL, vocabulary
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_texts import MIXED, SNIPPETS, varied_texts
from sentence_pieces import METADATA

from pyllama3.analysis.reference_tokenizer import reference_tokenizer
from pyllama3.errors import OptionError
from pyllama3.tokenizer.tokenizer import Tokenizer
from pyllama3.tokenizer.vocabulary import Vocabulary, read_gguf_vocabulary
from pyllama3.tokenizer.vocabulary.meta import read_tokenizer_model
from pyllama3.weights.formats.gguf import read_gguf

# tiktoken and regex have tables of their own; new characters are letters in the newer ones only
assigned = st.characters(exclude_categories=["Cn", "Cs"])
texts = st.text(assigned) | st.text(MIXED) | st.lists(st.sampled_from(SNIPPETS)).map("".join)


def check_same_ids(vocabulary: Vocabulary) -> None:
    ours, witness = Tokenizer(vocabulary), reference_tokenizer(vocabulary)

    @settings(max_examples=500)
    @given(texts)
    def check(text: str) -> None:
        assert ours.encode(text) == witness.encode(text)

    check()
    for text in varied_texts(ours, 20):
        assert ours.encode(text) == witness.encode(text), ascii(text)


@pytest.mark.parametrize(
    "toy", [vocabulary(), vocabulary(CHATML_SPECIAL, pre="smollm", bytes_left_out=b"\x00\x04\xf1")]
)
def test_toy_vocabularies(toy: dict[str, object]) -> None:
    check_same_ids(read_gguf_vocabulary(toy))


def test_smollm2(smollm2_path: Path) -> None:
    check_same_ids(read_gguf_vocabulary(read_gguf(smollm2_path).metadata))


def test_llama3(llama3_tokenizer_model: Path) -> None:
    check_same_ids(read_tokenizer_model(llama3_tokenizer_model))


def test_every_token_of_smollm2_that_is_a_piece(smollm2_path: Path) -> None:
    vocabulary = read_gguf_vocabulary(read_gguf(smollm2_path).metadata)
    witness = reference_tokenizer(vocabulary)
    for token, id in list(witness.ids.items())[::7]:
        *_, parts = witness.steps(token)
        assert [witness.ids[part] for part in parts] == [id]


def test_steps() -> None:
    """In the order of MERGES."""
    witness = reference_tokenizer(read_gguf_vocabulary(vocabulary(CHATML_SPECIAL, pre="smollm")))
    steps = [b" ".join(parts).decode() for parts in witness.steps(b"hellorld")]
    assert steps == [
        *("h e l l o r l d", "he l l o r l d", "he ll o r l d", "hell o r l d", "hello r l d"),
        *("hello rl d", "hello rld"),
    ]


def test_other_vocabularies() -> None:
    with pytest.raises(OptionError, match="supported: byte pairs"):
        reference_tokenizer(read_gguf_vocabulary(METADATA))
