"""How tightly expressions bind in Python; larger numbers bind tighter."""

from __future__ import annotations

SELECT, NOT, COMPARISON, UNARY, PRIMARY = 0, 3, 4, 11, 13
PRECEDENCE = {
    "||": 1,
    "&&": 2,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), COMPARISON),
    "|": 5,
    "^": 6,
    "&": 7,
    "<<": 8,
    ">>": 8,
    "+": 9,
    "-": 9,
    "*": 10,
    "/": 10,
    "%": 10,
}
