"""A few dozen mutated files for each reader; `invoke drill -- --count 10000` reads as many as one likes.

The witness is the process: it neither dies, nor hangs, nor grows by a gigabyte, nor sees an error that is not ours. To
add a reader: a row in `readers.READERS`.
"""

from __future__ import annotations

import pytest
from fuzz import drill
from readers import READERS

COUNT = 40


@pytest.mark.parametrize("reader", READERS)
def test_mutated_files(reader: str) -> None:
    assert drill(reader, count=COUNT, seed=0, limited=True) == []
