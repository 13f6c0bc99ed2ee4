"""Good files made bad: each mutation is a function of a random number generator, so that a seed tells it all."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

_BYTES = (0, 1, 0x0A, 0x1B, 0x22, 0x2E, 0x28, 0x7F, 0x80, 0xFF)
_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
_REGION = 2048
"""Headers begin files and directories of archives end them."""
_DEEP = "deep"
"""Stands for what is nested more deeply than `json.dumps` goes when several are in one another."""
_VALUES = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**90, 0.5, -1e308, 1e308, float("nan"), float("inf")),
    *("", "x", "\ud800", "\x1b[2J\n", "\0", "9" * 5000, "../" * 20 + "etc/passwd", "<" * 3000),
    *([], {}, [[]], {"": {}}, [None], [1, "x"], {"content": 1}, {"type": []}, [0] * 3000),
    *(json.loads("[" * 40 + "]" * 40), _DEEP),
)


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Change, remove, repeat or insert some bytes, most of them near the beginning or the end."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        start = _place(len(data), rng)
        size = min(len(data) - start, rng.choice((1, 2, 4, 8, rng.randrange(1, 200))))
        kind = rng.randrange(7)
        if kind == 0:
            data[start : start + 1] = bytes([rng.choice(_BYTES)])
        elif kind == 1:
            data[start : start + 1] = bytes([rng.randrange(256)])
        elif kind == 2:
            form = rng.choice("IQ")
            data[start : start + struct.calcsize(form)] = struct.pack(
                f"<{form}", rng.choice(_NUMBERS) % 256 ** struct.calcsize(form)
            )
        elif kind == 3:
            del data[start : start + size]
        elif kind == 4:
            data[start:start] = data[start : start + size] * rng.choice((1, 1, 2, 50))
        elif kind == 5:
            data[start:start] = rng.randbytes(size)
        elif rng.random() < 0.3:
            del data[start:]
    return bytes(data)


def _place(size: int, rng: random.Random) -> int:
    first = rng.choice((0, 0, max(0, size - _REGION)))
    last = size if rng.random() < 0.2 else min(size, first + _REGION)
    return rng.randrange(first, last) if first < last else 0


def mutated_json(content: bytes, rng: random.Random) -> bytes:
    """Replace, remove, repeat or rename something in a text in JSON, and now and then damage the text itself."""
    if rng.random() < 0.15:
        return mutated_bytes(content, rng)
    root = [json.loads(content)]
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        places = list(_places(root))
        holder, key = rng.choice(places[:400] if rng.random() < 0.5 else places)
        kind = rng.randrange(8)
        if kind < 5:
            holder[key] = json.loads(json.dumps(rng.choice(_VALUES)))  # a copy, which further mutations may change
        elif isinstance(holder, dict):
            value = holder.pop(key)
            if kind == 5:
                holder[rng.choice(("", "x", "\ud800", "9" * 500, str(rng.choice(_NUMBERS))))] = value
            elif kind == 6:
                holder[key] = [value, value]
        elif kind == 5 and holder is not root:
            del holder[key]
        else:
            holder[key] = [holder[key]]
    return json.dumps(root[0]).replace(json.dumps(_DEEP), "[" * 600 + "]" * 600).encode()


def _places(value: Any) -> Any:
    """Yield what holds something, and the key or index of that."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, key
            if isinstance(holder[key], (dict, list)):
                waiting.append(holder[key])


def mutated_lines(content: bytes, rng: random.Random) -> bytes:
    """Mutate one line in JSON of several."""
    lines = content.splitlines()
    at = rng.randrange(len(lines))
    lines[at] = mutated_json(lines[at], rng)
    return b"\n".join(lines) + b"\n"


def mutated_safetensors(content: bytes, rng: random.Random) -> bytes:
    """Mutate the header of a safetensors file, whose length is kept right, or anything."""
    if rng.random() < 0.4:
        return mutated_bytes(content, rng)
    size = int.from_bytes(content[:8], "little")
    header = mutated_json(content[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + content[8 + size :]
