"""A comparison as an HTML page with heat maps."""

from __future__ import annotations

import math
from itertools import groupby
from pathlib import Path

from .. import pages
from .comparison import Comparison, Examination
from .metrics import Difference
from .report import summary

_Rows = list[tuple[str, list[Difference]]]

_COOLEST, _HOTTEST = -16.0, 0.0
"""Powers of ten of an NMSE between which colours change: rounding of float64, and nothing in common."""
_MOST_COLOUR = 70
"""Percent of colour at the hottest end, on which text is still easy to read."""


def write_page(path: Path, comparison: Comparison) -> None:
    """Write the page."""
    pages.write_page(
        path,
        "compare.html",
        comparison=comparison,
        summary=summary,
        heat=heat,
        stage_rows=stage_rows,
        operation_tables=operation_tables,
    )


def heat(nmse: float) -> int:
    """Return how much colour an NMSE gets, in percent."""
    if not nmse < 1:
        return _MOST_COLOUR
    power = math.log10(nmse) if nmse > 0 else _COOLEST
    return round(_MOST_COLOUR * max(0.0, (power - _COOLEST) / (_HOTTEST - _COOLEST)))


def stage_rows(found: Examination) -> _Rows:
    """Return the title and the cells of each row: the embedding, a row per layer, the head."""
    rows = groupby(found.stages.items(), key=lambda item: item[0].name if item[0].layer is None else item[0].layer)
    return [(str(title), [difference for _, difference in cells]) for title, cells in rows]


def operation_tables(found: Examination) -> list[tuple[str, list[str], _Rows]]:
    """Return a table for each stage that was looked into: its title, the operations, and a row per layer."""
    tables: dict[str, dict[str, list[Difference]]] = {}
    names: dict[str, list[str]] = {}
    for operation in found.operations:
        stage = operation.stage
        rows = tables.setdefault(stage.name, {})
        rows.setdefault("" if stage.layer is None else str(stage.layer), []).append(operation.difference)
        known = names.setdefault(stage.name, [])
        if operation.name not in known:
            known.append(operation.name)
    return [(f"Operations of the {stage}", names[stage], list(rows.items())) for stage, rows in tables.items()]
