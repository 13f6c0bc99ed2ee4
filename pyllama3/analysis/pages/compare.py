"""A comparison as an HTML page with heat maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from ..compare.comparison import Comparison, Examination
from ..compare.report import summary
from ..metrics import Difference
from .render import render_page

_Cell = tuple[Difference, float | None]
"""A difference, and the NMSE that is allowed."""
_Rows = list[tuple[str, list[_Cell]]]

_POWERS = (-16, -12, -8, -4, -2, -1, 0)
"""Of ten, in the legend."""
_FAR = 1e-2
"""NMSE from which on another colour is used, in finer steps: what backends never reach, and models often."""
_NEAR_COLOURS, _FAR_COLOURS = (5, 45), (22, 72)
"""Percent of colour for the nearest and the farthest NMSE, on which text is still easy to read."""


def write_page(path: Path, comparison: Comparison, names: Sequence[str] | None) -> None:
    """Write the page; `names` are the texts of the tokens, if the model has a vocabulary."""
    shown: Sequence[str | None] = names or [None] * len(comparison.ids)
    render_page(
        path,
        "compare.html",
        comparison=comparison,
        tokens=list(zip(comparison.ids, shown, strict=True)),
        summary=summary,
        powers=_POWERS,
        heat=heat,
        heat_class=heat_class,
        stage_rows=stage_rows,
        operation_tables=operation_tables,
    )


def heat_class(nmse: float) -> str:
    """Return the class of a cell: near, or far from what is expected."""
    return "heat near" if nmse < _FAR else "heat"


def heat(nmse: float) -> int:
    """Return how much colour an NMSE gets, in percent, on a scale of its class."""
    if nmse == 0:
        return 0
    power = math.log10(nmse) if nmse > 0 else 0.0  # also for NaN
    border = math.log10(_FAR)
    (least, most), part = (
        (_NEAR_COLOURS, 1 - (power - border) / (_POWERS[0] - border))
        if power < border
        else (_FAR_COLOURS, 1 - power / border)
    )
    return round(least + (most - least) * min(1.0, max(0.0, part)))


def stage_rows(found: Examination) -> _Rows:
    """Return the title and the cells of each row: the embedding, a row per layer, the head."""
    rows = groupby(found.stages.items(), key=lambda item: item[0].name if item[0].layer is None else item[0].layer)
    return [(str(title), [(difference, found.allowed) for _, difference in cells]) for title, cells in rows]


def operation_tables(found: Examination) -> list[tuple[str, list[str], _Rows]]:
    """Return a table for each stage that was looked into: its title, the operations, and a row per layer."""
    tables: dict[str, dict[str, list[_Cell]]] = {}
    names: dict[str, list[str]] = {}
    for operation in sorted(found.operations, key=lambda operation: operation.stage.layer or 0):
        stage = operation.stage
        rows = tables.setdefault(stage.name, {})
        title = "" if stage.layer is None else str(stage.layer)
        rows.setdefault(title, []).append((operation.difference, operation.allowed))
        known = names.setdefault(stage.name, [])
        if operation.name not in known:
            known.append(operation.name)
    return [(f"Operations of the {stage}", names[stage], list(rows.items())) for stage, rows in tables.items()]
