"""Arrays of strings that are decoded one by one, against decoding all at once.

To add a case: bytes as an example of the property.
"""

from __future__ import annotations

import struct
from array import array
from itertools import accumulate

from hypothesis import example, given
from hypothesis import strategies as st

from pyllama3.tokenizer.string_array import StringArray


def stored(strings: list[bytes]) -> StringArray:
    items = [struct.pack("<Q", len(string)) + string for string in strings]
    return StringArray(b"".join(items), array("q", accumulate(map(len, items))))


@given(st.lists(st.binary(max_size=300) | st.text().map(lambda text: text.encode("utf-8", "replace"))))
@example([])
@example([b""])
@example([b"a\0b", b"c"])
@example([b"\xc4", b"\xa0"])  # together they would be a character
@example([b"x" * 70_000, b""])
def test_each_string_is_decoded_on_its_own(strings: list[bytes]) -> None:
    expected = [string.decode("utf-8", "replace") for string in strings]
    assert stored(strings).joined() == "\0".join(expected)
    found = stored(strings)
    assert len(found) == len(expected)
    assert list(found) == expected
    assert found[:1] == expected[:1]
    assert found.joined() == "\0".join(expected)
