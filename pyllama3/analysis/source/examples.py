"""Kernels on a few numbers: what goes in and what comes out, on each backend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...backends import Engine
from ...backends.binding import snake_case
from .methods import Method

Argument = Sequence[float] | float

_ROW = [0.5, -1.0, 2.0, 0.25]
_COSINES, _SINES = ([function(angle) for angle in (math.pi / 6, math.pi / 3)] for function in (math.cos, math.sin))

EXAMPLES: dict[str, dict[str, Argument]] = {
    "Kernels.Dot": {"a": _ROW, "aOffset": 0, "b": [1.0, 2.0, 3.0, 4.0], "bOffset": 0, "count": 4},
    "Kernels.Add": {"y": [1.0, 2.0, 3.0, 4.0], "yOffset": 0, "x": _ROW, "xOffset": 0, "count": 4},
    "Kernels.RmsNorm": {
        "y": [0.0] * 4,
        "x": _ROW,
        "offset": 0,
        "weight": [1.0, 1.0, 0.5, 2.0],
        "dim": 4,
        "eps": 1e-5,
    },
    "Kernels.RopeInterleaved": {"x": _ROW, "offset": 0, "cosines": _COSINES, "sines": _SINES, "angle": 0, "pairs": 2},
    "Kernels.RopeHalfSplit": {"x": _ROW, "offset": 0, "cosines": _COSINES, "sines": _SINES, "angle": 0, "pairs": 2},
    "Kernels.Softmax": {"x": _ROW, "offset": 0, "count": 4},
    "Kernels.SwiGlu": {"gate": _ROW, "up": [1.0, 2.0, 3.0, 4.0], "offset": 0, "count": 4},
    "Kernels.ExpNegative": {"x": -1.0},
    "Kernels.FloatToHalf": {"x": 1.0 / 3},
}
"""Arguments by name; lists are arrays of float32."""


@dataclass(frozen=True)
class Run:
    """What a kernel did: the arrays it has changed, by name, and what it returned."""

    changed: dict[str, list[float]]
    result: float | None


def run_example(engine: Engine, method: Method) -> Run:
    """Run a kernel on its example, which has to be one of `EXAMPLES`."""
    arguments: dict[str, Any] = dict(EXAMPLES[str(method)])
    before: dict[str, list[float]] = {}
    for name, value in arguments.items():
        if isinstance(value, Sequence):
            arguments[name] = array = engine.empty("float32", len(value))
            engine.numpy(array, "float32")[:] = value
            before[name] = engine.numpy(array, "float32").tolist()
    result = getattr(getattr(engine, method.cls), snake_case(method.name))(*arguments.values())
    after = {name: engine.numpy(arguments[name], "float32").tolist() for name in before}
    return Run({name: numbers for name, numbers in after.items() if numbers != before[name]}, result)
