"""A comparison as an HTML page with heat maps."""

from __future__ import annotations

import math
from itertools import groupby
from pathlib import Path

from ..compare.comparison import Comparison, Examination
from ..compare.report import summary
from ..metrics import Difference
from .render import render_page

_Cell = tuple[Difference, float | None]
"""A difference, and the NMSE that is allowed."""
_Rows = list[tuple[str, list[_Cell]]]

_MOST_COLOUR = 70
"""Percent of colour at the hottest end, on which text is still easy to read."""


def write_page(path: Path, comparison: Comparison) -> None:
    """Write the page.

    Colours tell powers of ten: between backends from the rounding of float64 to nothing in common, and in finer steps
    between models, which differ by much more.
    """
    powers = range(-16, 1, 4) if any(found.allowed for found in comparison.examinations) else range(-5, 1)
    render_page(
        path,
        "compare.html",
        comparison=comparison,
        summary=summary,
        powers=powers,
        heat=lambda nmse: heat(nmse, powers[0]),
        stage_rows=stage_rows,
        operation_tables=operation_tables,
    )


def heat(nmse: float, coolest: int) -> int:
    """Return how much colour an NMSE gets, in percent: none at the coolest power of ten, most at 1."""
    if not nmse < 1:
        return _MOST_COLOUR
    return round(_MOST_COLOUR * max(0.0, 1 - math.log10(nmse) / coolest)) if nmse > 0 else 0


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
