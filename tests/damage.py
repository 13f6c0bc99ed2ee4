"""Files cut short and with changed bytes, for which readers must give one-line errors of ours and nothing else.

Also tells whether what they read of good ones is the file itself.
"""

from __future__ import annotations

import mmap
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pyllama3.errors import PyLlama3Error


def is_mapped(array: npt.NDArray[np.uint8]) -> bool:
    """Tell whether an array is a view of a mapped file, and not a copy."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap)


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
