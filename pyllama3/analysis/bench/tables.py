"""Results as llama-bench prints them: a markdown table, CSV, JSON with its names of the fields."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from .measure import Result

_HEADINGS = ("model", "size", "params", "backend", "threads", "test", "t/s", "memory")
_LEFT = {"model", "backend"}
_WIDTH = 100
"""Columns of a table at most, unless nothing is left of the names of models."""
_SHORTEST = 12


def markdown(results: Sequence[Result]) -> str:
    """Return a table, whose last column is the largest resident memory since the model was loaded."""
    rows = [_HEADINGS, *map(_row, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    widths[0] = min(widths[0], max(_SHORTEST, _WIDTH - sum(widths[1:]) - 3 * len(widths) - 1))
    rules = ["-" * (width - 1) + ("-" if name in _LEFT else ":") for name, width in zip(_HEADINGS, widths, strict=True)]
    return "\n".join(_line((shorten(row[0], widths[0]), *row[1:]), widths) for row in [rows[0], rules, *rows[1:]])


def shorten(model: str, width: int) -> str:
    """Return a name that fits; its end, which tells the type, is kept."""
    if len(model) <= width:
        return model
    head = width - 1 - min(len(model.rpartition(" ")[2]), width // 2)
    return f"{model[:head].rstrip()}…{model[head + 1 - width :].lstrip()}"


def _row(result: Result) -> Sequence[str]:
    return (
        result.model,
        _bytes(result.size),
        f"{result.params / 1e9:.2f} B" if result.params >= 1e9 else f"{result.params / 1e6:.1f} M",
        result.backend + ("" if result.precision == "default" else f" {result.precision}"),
        str(result.threads),
        result.test.name,
        f"{result.mean:.1f} ± {result.deviation:.1f}",
        _bytes(result.memory) if result.memory else "?",
    )


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.ljust(width) if name in _LEFT else cell.rjust(width)
        for name, cell, width in zip(_HEADINGS, cells, widths, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def as_csv(results: Sequence[Result]) -> str:
    """Return a line of names and one for each result."""
    out = io.StringIO()
    records = [{name: value for name, value in _record(result).items() if name != "samples_ts"} for result in results]
    writer = csv.DictWriter(out, records[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue().rstrip("\n")


def as_json(results: Sequence[Result], machine: dict[str, Any]) -> str:
    """Return an array with an object for each result, which also has the description of the machine."""
    return json.dumps([{**machine, **_record(result)} for result in results], indent=1)


def _record(result: Result) -> dict[str, Any]:
    return {
        "model_type": result.model,
        "model_size": result.size,
        "model_n_params": result.params,
        "backend": result.backend,
        "precision": result.precision,
        "n_threads": result.threads,
        "n_prompt": result.test.prompt,
        "n_gen": result.test.generated,
        "sampled": result.test.sampled,
        "n_depth": result.test.depth,
        "avg_ts": result.mean,
        "stddev_ts": result.deviation,
        "samples_ts": result.speeds,
        "peak_memory": result.memory,
    }
