"""Data of the tests that is made again: what may differ, and what may not.

To add a case: a change of `made`, and the difference that must be told.
"""

from __future__ import annotations

from typing import Any

import pytest

from tools.witness import differences


@pytest.mark.parametrize(
    "made",
    [
        {"oracle": "y 2", "cases": [{"ids": [1, 2], "x": 21.6534, "t": "a"}]},
        {"oracle": "x 1", "cases": [{"ids": [1, 2], "x": 21.6533, "t": "a"}]},
    ],
)
def test_versions_and_last_digits_may_differ(made: dict[str, Any]) -> None:
    assert not list(differences({"oracle": "x 1", "cases": [{"ids": [1, 2], "x": 21.6533, "t": "a"}]}, made))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ({"ids": [1, 3], "x": 1.5}, "['ids'][1]: 2 is stored, 3 was made"),
        ({"ids": [1], "x": 1.5}, "['ids']: [1, 2] is stored, [1] was made"),
        ({"ids": [1, 2], "x": 1.502}, "['x']: 1.5 is stored, 1.502 was made"),
        ({"ids": [1, 2], "x": "1.5"}, "['x']: 1.5 is stored, '1.5' was made"),
        ({"ids": [1, 2]}, ": {'ids': [1, 2], 'x': 1.5} is stored, {'ids': [1, 2]} was made"),
    ],
)
def test_all_else_is_a_difference(made: dict[str, Any], expected: str) -> None:
    assert list(differences({"ids": [1, 2], "x": 1.5}, made)) == [expected]
