"""Words that wrap at the margin, however the text is cut into pieces. The witness is textwrap.

To add a case: a text, a width and its lines.
"""

from __future__ import annotations

import textwrap
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyllama3.cli.wrapping import Wrapper, wrap


@given(st.lists(st.text("abc", min_size=1, max_size=9), max_size=30), st.integers(10, 40), st.lists(st.integers(0, 99)))
def test_words_wrap_as_in_textwrap_however_they_come(words: list[str], width: int, cuts: list[int]) -> None:
    text = " ".join(words)
    wrapper = Wrapper(width)
    ends = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    shown = "".join(wrapper.feed(text[start:end]) for start, end in pairwise(ends)) + wrapper.flush()
    assert shown == textwrap.fill(text, width)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one\n\ntwo  three", 11, ["one", "", "two  three"]),
        ("    return x", 40, ["    return x"]),
        ("a verylongword b", 6, ["a", "verylongword", "b"]),
        ("日本日本日", 8, ["日本日本", "日"]),  # two columns each, and no spaces
        ("", 10, [""]),
    ],
)
def test_lines(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width).split("\n") == lines


def test_a_word_is_shown_when_it_is_complete() -> None:
    wrapper = Wrapper(20)
    assert [wrapper.feed(text) for text in ("He", "llo", " wor", "ld\n", "x")] == ["", "", "Hello", " world\n", ""]
    assert wrapper.flush() == "x"


def test_a_word_without_an_end_is_shown() -> None:
    wrapper = Wrapper(5)
    assert "".join(map(wrapper.feed, "a " + "xyz" * 9)) == "a\nxyzxy\nzxyzx\nyzxyz\nxyzxy\nzxyzx"
