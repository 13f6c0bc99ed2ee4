"""Files cut short and with changed bytes, for which readers must give one-line errors of ours and nothing else.

Also tells whether what they read of good ones is the file itself.
"""

from __future__ import annotations

import json
import mmap
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pyllama3.errors import PyLlama3Error, WeightsError
from pyllama3.weights import load_weights


def is_mapped(array: npt.NDArray[np.uint8]) -> bool:
    """Tell whether an array is a view of a mapped file, and not a copy."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap)


def failure(path: Path | str, load: Callable[[Path | str], object] = load_weights) -> str:
    """Return the one line that loading a file fails with."""
    with pytest.raises(WeightsError) as info:
        load(path)
    assert "\n" not in str(info.value)
    return str(info.value)


def failure_of(path: Path | str, load: Callable[[Path | str], object] = load_weights) -> str:
    """Return the one line that loading a file fails with, which begins with its path, without that."""
    message = failure(path, load)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def assert_errors_only(
    path: Path, load: Callable[[], object], *, cuts: int, changes: int, region: range | None = None
) -> None:
    """Damage a file in many ways and load it each time; `region` is where bytes are changed, by default anywhere."""
    content = path.read_bytes()
    rng = random.Random(1)
    cases = [content[: len(content) * n // cuts] for n in range(cuts)]
    for _ in range(changes):
        case = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 4])):
            case[rng.choice(region or range(len(content)))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        cases.append(bytes(case))
    errors = []
    for case in cases:
        path.write_bytes(case)
        try:
            load()
        except PyLlama3Error as error:
            errors.append(str(error))
    path.write_bytes(content)
    assert all("\n" not in error for error in errors)
    assert len(errors) >= cuts


def assert_any_values(path: Path, load: Callable[[], object]) -> None:
    """Replace each value of a JSON file, and each inside of it, by values of all kinds, and load it each time."""
    content = path.read_text("utf-8")
    refused = 0
    for place in _places(json.loads(content)):
        for value in (None, [], {}, "x", -1, 2**70, 1e308, float("nan"), True, ["a", "b"], {"content": 1}):
            changed = json.loads(content)
            inner = changed
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
            path.write_text(json.dumps(changed), "utf-8")
            try:
                load()
            except PyLlama3Error as error:
                refused += "\n" not in str(error)
    path.write_text(content, "utf-8")
    assert refused > 0


def _places(value: Any) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        yield from ((key, *place) for place in _places(inner))
