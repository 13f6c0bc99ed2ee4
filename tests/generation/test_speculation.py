"""Speculation: whatever is guessed, the tokens are those that come without guesses.

The witness is the run without guesses. To add a case: a drafter, good or bad; the tokens must stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import built_engine
from gguf import GGMLQuantizationType
from scripted import write_scripted
from tiny_models import write_tiny

from pyllama3 import Llama
from pyllama3.backends import Engine
from pyllama3.config import CACHE_TYPES, PRECISIONS, CacheType, Precision
from pyllama3.errors import OptionError
from pyllama3.generation.generation import Piece
from pyllama3.generation.speculation import PromptLookup, Speculation
from pyllama3.runtime.session import Session

TYPES = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL")


def write_random(path: Path, seed: int = 1, type: str = "F32", **overrides: Any) -> Path:
    return write_tiny(path, seed, GGMLQuantizationType[type], **{"layers": 1, **overrides})


def count(engine: Engine) -> int:
    """How many tokens an engine generates; the interpreted one is slow."""
    return 12 if engine.name == "python" else 40


def ids(pieces: Sequence[Piece]) -> list[int]:
    return [piece.id for piece in pieces]


@pytest.mark.parametrize("options", [{"temperature": 0}, {"temperature": 3, "top_p": 1, "seed": 5}])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_lookup_gives_the_same_tokens(
    engine: Engine, tmp_path: Path, options: dict[str, Any], precision: Precision
) -> None:
    """A model that repeats itself always, or, at a high temperature, mostly."""
    path = write_scripted(tmp_path / "m.gguf", [*b"abcdefga"], layers=1)
    llm = Llama.load(path, backend=engine.name, precision=precision)
    options = {**options, "max_tokens": count(engine)}
    plain = list(llm.generate([*b"abcdefgabc"], **options))
    for most in (3, 8):
        pieces = list(llm.generate([*b"abcdefgabc"], lookup=most, **options))
        assert ids(pieces) == ids(plain)
        assert [piece.logprob for piece in pieces] == [piece.logprob for piece in plain]
        assert pieces[-1].stats.accepted > 0


def test_a_repeating_text_is_guessed(engine: Engine, tmp_path: Path) -> None:
    cycle = [*b"abcdefg", ord("a")]
    llm = Llama.load(write_scripted(tmp_path / "m.gguf", cycle), backend=engine.name)
    with llm.session() as session:
        pieces = list(llm.generate([*b"abcdefgabc"], temperature=0, max_tokens=30, lookup=5, session=session))
        assert bytes(ids(pieces)) == (b"defgabc" * 5)[:30]
        stats = pieces[-1].stats
        assert stats.drafted - 5 <= stats.accepted <= stats.drafted
        assert stats.accepted >= 20
        # guesses that were not needed are forgotten
        assert session.ids == (*b"abcdefgabc", *ids(pieces)[:-1])


def test_guesses_end_with_the_context(engine: Engine, tmp_path: Path) -> None:
    llm = Llama.load(write_scripted(tmp_path / "m.gguf", [*b"abca"]), backend=engine.name, context=20)
    pieces = list(llm.generate([*b"abcabc"], temperature=0, lookup=8))
    assert bytes(ids(pieces)) == b"abcabcabcabcab"
    assert pieces[-1].stats.finish_reason == "context"


def test_a_text_that_is_left_early_leaves_no_guesses(engine: Engine, tmp_path: Path) -> None:
    llm = Llama.load(write_scripted(tmp_path / "m.gguf", [*b"abca"]), backend=engine.name)
    with llm.session() as session:
        pieces = llm.generate([*b"abcabc"], temperature=0, lookup=8, session=session)
        next(pieces)
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]
        assert session.ids == (*b"abcabca",)


@pytest.mark.parametrize("options", [{"temperature": 0}, {"temperature": 1, "seed": 5}])
def test_a_draft_model_gives_the_same_tokens(engine: Engine, tmp_path: Path, options: dict[str, Any]) -> None:
    llm = Llama.load(write_random(tmp_path / "m.gguf", 1), backend=engine.name)
    other = Llama.load(write_random(tmp_path / "other.gguf", 2, layers=1), backend=engine.name, context=25)
    options = {**options, "max_tokens": count(engine)}
    plain = list(llm.generate([5, 6], **options))
    same = list(llm.generate([5, 6], draft=llm, draft_tokens=3, **options))
    assert ids(same) == ids(plain)
    assert ids(list(llm.generate([5, 6], draft=other, **options))) == ids(plain)
    if options["temperature"] == 0:
        assert same[-1].stats.accepted >= count(engine) // 2  # the model guesses what it says itself


def test_a_draft_model_needs_the_same_vocabulary(engine: Engine, tmp_path: Path) -> None:
    llm = Llama.load(write_random(tmp_path / "m.gguf"), backend=engine.name)
    other = Llama.load(write_random(tmp_path / "other.gguf", vocab_size=320, name="other"), backend=engine.name)
    with pytest.raises(OptionError, match=r"^the draft model other has another vocabulary than tiny; "):
        llm.generate("x", draft=other)
    with pytest.raises(OptionError, match=r"^lookup and draft exclude each other$"):
        llm.generate("x", draft=llm, lookup=2)


@pytest.mark.parametrize("most", [-1, 65])
def test_too_many_guesses_are_refused(engine: Engine, tmp_path: Path, most: int) -> None:
    llm = Llama.load(write_random(tmp_path / "m.gguf"), backend=engine.name)
    with pytest.raises(OptionError, match=f"^lookup is {most}; allowed: 1 to 64"):
        llm.generate("x", lookup=most)
    with pytest.raises(OptionError, match=f"^draft_tokens is {most}; allowed: 1 to 64"):
        llm.generate("x", draft=llm, draft_tokens=most)


def test_what_followed_the_longest_and_latest_match_is_guessed() -> None:
    lookup = PromptLookup(3)
    assert list(lookup.draft([1, 2, 3])) == []
    assert list(lookup.draft([1, 2, 3, 9, 1, 2])) == [3, 9, 1]
    assert list(PromptLookup(3).draft([1, 2, 3, 9, 1, 2, 4, 5, 1, 2])) == [4, 5, 1]  # the later one
    assert list(PromptLookup(2).draft([7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2])) == [3, 8]  # the longer one
    assert list(PromptLookup(9).draft([1, 2, 3, 1, 2])) == [3, 1, 2]
    assert list(PromptLookup(9).draft([1, 1, 1])) == [1]
    assert list(PromptLookup(9).draft([1])) == []


def test_the_length_of_guesses_follows_their_success() -> None:
    lookup = PromptLookup(8)
    text = [*range(20), 0, 1]
    assert list(lookup.draft(text)) == [2, 3, 4, 5, 6, 7, 8, 9]
    text += [2, 3, 99, 0, 1]  # two were right
    assert list(lookup.draft(text)) == [2, 3, 99]
    text += [2, 3, 99, 0, 1]  # all; what follows now is all there is
    assert list(lookup.draft(text)) == [2, 3, 99, 0, 1]
    text += [50, 10, 11]  # none
    assert list(lookup.draft(text)) == [12]


class Wrong:
    """Guesses what never comes."""

    def draft(self, ids: Sequence[int]) -> Sequence[int]:
        return [(ids[-1] + 1) % 7] * 4


@pytest.mark.parametrize("precision", PRECISIONS)
def test_wrong_guesses_change_nothing(engine: Engine, tmp_path: Path, precision: Precision) -> None:
    path = write_random(tmp_path / "m.gguf", type="Q4_1", vocab_size=301)
    check_wrong_guesses(Llama.load(path, backend=engine.name, precision=precision))


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cache_type", CACHE_TYPES)
def test_wrong_guesses_change_nothing_in_any_type(
    tmp_path: Path, type: str, precision: Precision, cache_type: CacheType
) -> None:
    path = write_random(tmp_path / "m.gguf", type=type)
    check_wrong_guesses(Llama.load(path, backend=built_engine("c").name, precision=precision, cache_type=cache_type))


def check_wrong_guesses(llm: Llama) -> None:
    """Compare logits, to the last bit, with those of a session that takes token by token."""
    plain, guessing = llm.session(), llm.session()
    speculation = Speculation(guessing, Wrong())
    sequence: list[int] = []
    for id in (50, 60, 70, 80):
        sequence.append(id)
        np.testing.assert_array_equal(speculation.feed(sequence), plain.feed([id]))
    speculation.settle()
    assert guessing.ids == plain.ids
    assert (speculation.drafted, speculation.accepted) == (16, 0)


def test_reuse_keeps_what_is_the_same(engine: Engine, tmp_path: Path) -> None:
    llm = Llama.load(write_random(tmp_path / "m.gguf"), backend=engine.name)
    session: Session = llm.session()
    assert list(session.reuse([1, 2, 3])) == [1, 2, 3]
    session.feed([1, 2, 3])
    assert list(session.reuse([1, 2, 3])) == [3]  # its logits are not kept
    assert session.ids == (1, 2)
    session.feed([3])
    assert list(session.reuse([1, 9, 3])) == [9, 3]
    assert session.ids == (1,)
    assert list(session.reuse([4])) == [4]
    assert session.ids == ()
