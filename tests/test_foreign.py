"""What others wrote: texts for terminals, names of files, JSON and whole files.

To add a case: a text with what is shown, a name that is refused, or a text in JSON with the line that refuses it.
"""

from __future__ import annotations

import io
import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyllama3.errors import OptionError
from pyllama3.foreign import MAX_DEPTH, file_inside, parse_json, printable, read_lines, read_whole


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zażółć 你好 👩‍💻 שלום", "Zażółć 你好 👩‍💻 שלום"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("\u202egpj.exe\u2066\u2069\u2028", r"\u202egpj.exe\u2066\u2069\u2028"),
        ("\ud800", r"\ud800"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_printable_has_no_controls(text: str) -> None:
    for character in printable(text):
        assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )
    assert printable(text, lines=True).replace("\n", "").replace("\t", "").isascii() >= text.isascii()


def test_lines_stay_lines() -> None:
    assert printable("a\n\tb\r\x1b[2J", lines=True) == "a\n\tb\\r\\x1b[2J"


def test_errors_are_one_line() -> None:
    assert str(OptionError("m\x1b[2J.gguf:\nno")) == r"m\x1b[2J.gguf:\nno"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "//etc/passwd",
        "../x",
        "a/../../x",
        "a\\b",
        "C:x",
        "a\0b",
        "a\nb",
        "x" * 201,
        "\x1b[2J",
        7,
        None,
    ],
)
def test_names_that_leave_the_folder(tmp_path: Path, name: Any) -> None:
    with pytest.raises(ValueError, match=r" is not the name of a file of this directory$"):
        file_inside(tmp_path, name)


def test_names_of_files(tmp_path: Path) -> None:
    assert file_inside(tmp_path, "model-00001-of-00002.safetensors").parent == tmp_path


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**98), 10**98) | st.floats(allow_nan=False) | st.text(),
        lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    )
)
def test_json_is_read_as_it_was_written(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "Expecting value"),
        (b"\xff", "can't decode byte 0xff"),
        (b"[" * 65 + b"]" * 65, "is nested too deeply; at most 64 levels are read"),
        (b"[1," * 65 + b"1" + b"]" * 65, "is nested too deeply; at most 64 levels are read"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "is nested too deeply; at most 64 levels are read"),
        (b"[" * 1_000_000, "is nested too deeply; at most 64 levels are read"),
        (b"1" * 101, "has an integer of 101 digits; at most 100 are read"),
        (b"[" + b"1" * 100_000 + b"]", "has an integer of 100000 digits; at most 100 are read"),
        (b" " * 2001, "has more than 2000 bytes"),
    ],
)
def test_json_that_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text, max_bytes=2000 if text.isspace() else None)


def test_json_that_is_just_not_too_deep() -> None:
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_files_that_do_not_end(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(1001))
    assert read_whole(tmp_path / "large", max_bytes=1001) == bytes(1001)
    with pytest.raises(ValueError, match="has more than 1000 bytes"):
        read_whole(tmp_path / "large", max_bytes=1000)
    with pytest.raises(ValueError, match="has more than 1000 bytes"):
        read_whole(Path("/dev/zero"), max_bytes=1000, regular=False)
    os.mkfifo(tmp_path / "fifo")
    for path in (Path("/dev/zero"), tmp_path / "fifo", tmp_path):
        with pytest.raises(ValueError, match="is not a regular file"):
            read_whole(path, max_bytes=1000)


@given(st.lists(st.text("ab", max_size=9)), st.booleans())
def test_lines_are_cut_where_they_are_long(lines: list[str], ends: bool) -> None:
    content = "\n".join(lines) + "\n" * ends
    expected = [line[:5] + ("" if len(line) > 4 else "\n") for line in lines]
    found = [line.decode() for line in read_lines(io.BytesIO(content.encode()), max_bytes=4)]
    assert [line.rstrip("\n") for line in found if line.strip()] == [
        line.rstrip("\n") for line in expected if line.strip()
    ]
