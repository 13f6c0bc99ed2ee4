"""How tightly expressions bind in C; larger numbers bind tighter."""

from __future__ import annotations

SELECT, EQUALITY, ADD, UNARY, POSTFIX = 3, 9, 12, 14, 15
PRECEDENCE = {
    "||": 4,
    "&&": 5,
    "|": 6,
    "^": 7,
    "&": 8,
    "==": EQUALITY,
    "!=": EQUALITY,
    **dict.fromkeys(("<", "<=", ">", ">="), 10),
    "<<": 11,
    ">>": 11,
    "+": ADD,
    "-": ADD,
    "*": 13,
    "/": 13,
    "%": 13,
}
