"""A comparison as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..metrics import Difference
from .comparison import Comparison, Examination
from .operations import Operation


def as_table(comparison: Comparison) -> str:
    """Return tables for a terminal of 80 columns."""
    lines = [f"{len(comparison.ids)} tokens; {comparison.base}: {comparison.base_seconds:.2f} s"]
    for found in comparison.examinations:
        lines += ["", *_stages(found), *(["", *_operations(found)] if found.operations else []), "", *summary(found)]
    if len(comparison.examinations) > 1:
        lines += ["", *_overview(comparison)]
    return "\n".join(lines)


def _overview(comparison: Comparison) -> list[str]:
    """Return a row for each subject."""
    count = len(comparison.ids)
    rows = [f"{'':16} {'tokens/s':>9} {'worst NMSE':>11} {'at':21} {'same token':>10}"]
    for found in comparison.examinations:
        stage, off = max(found.stages.items(), key=lambda item: item[1].worst_nmse)
        speed = f"{count / found.seconds:.1f}" if found.seconds else ""
        same = f"{found.agreement.top1} of {found.agreement.positions}"
        mark = "" if found.agrees else "  <-- out"
        rows.append(f"{found.label:16} {speed:>9} {off.worst_nmse:11.1e} {stage!s:21} {same:>10}{mark}")
    return rows


def summary(found: Examination) -> list[str]:
    """Return the verdict, the agreement of the predictions and the time, a sentence each."""
    same = found.agreement
    return [
        verdict(found),
        f"Most probable token: the same at {same.top1} of {same.positions} positions; of the ten most probable "
        f"{same.top10:.1%} are shared.",
        f"KL divergence: {same.kl:.3g} nats on average, {same.max_kl:.3g} at most.",
        f"Time: {found.seconds:.2f} s.",
    ]


def verdict(found: Examination) -> str:
    """Return what the comparison has shown."""
    allowed, first = found.allowed, found.first_out
    if allowed is None:
        return "Another model: its errors have no tolerance."
    if first is None:
        if found.culprit is not None:
            return f"OUT OF TOLERANCE: no stage, but an operation. {blame(found.culprit)}"
        text = f"Within tolerance: no row of any stage has an NMSE above {allowed:g}"
        return f"{text}, and no operation leaves its tolerance." if found.operations else f"{text}."
    off = found.stages[first]
    text = (
        f"OUT OF TOLERANCE: first at {first}, row {off.worst_row}, whose NMSE of {off.worst_nmse:.2g} "
        f"is above {allowed:g}."
    )
    if found.culprit is not None:
        return f"{text} {blame(found.culprit)}"
    if found.base_culprit is not None:
        return f"{text} But it is the base that is wrong. {blame(found.base_culprit)}"
    if found.operations:
        text += " Its operations are within tolerance on equal inputs: the error has come from the layers before."
    return text


def blame(operation: Operation) -> str:
    """Return a sentence that names an operation and its worst row."""
    using = f" ({operation.tensor})" if operation.tensor else ""
    off = operation.difference
    return (
        f"The operation is '{operation.name}'{using} of {operation.stage}: on equal inputs, row {off.worst_row} "
        f"has an NMSE of {off.worst_nmse:.2g}, above {operation.allowed:g}."
    )


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison in lists and dictionaries."""
    return {
        "tokens": comparison.ids,
        "base": comparison.base,
        "base_seconds": comparison.base_seconds,
        "agrees": comparison.agrees,
        "subjects": [_subject(found) for found in comparison.examinations],
    }


def _subject(found: Examination) -> dict[str, Any]:
    first, culprit = found.first_out, found.culprit
    return {
        "label": found.label,
        "seconds": found.seconds,
        "allowed": found.allowed,
        "first_out": first._asdict() if first else None,
        "culprit": _operation(culprit) if culprit else None,
        "base_culprit": _operation(found.base_culprit) if found.base_culprit else None,
        "agreement": asdict(found.agreement),
        "stages": [{**stage._asdict(), **asdict(off)} for stage, off in found.stages.items()],
        "operations": [_operation(operation) for operation in found.operations],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        **operation.stage._asdict(),
        "operation": operation.name,
        "tensor": operation.tensor,
        "allowed": operation.allowed,
        **asdict(operation.difference),
    }


_HEADER = f"{'max error':>10} {'NMSE':>9} {'cosine':>11} {'worst row':>18}"


def _numbers(off: Difference, allowed: float | None) -> str:
    mark = "" if allowed is None or off.worst_nmse <= allowed else "  <-- out"
    worst = f"{off.worst_row} ({off.worst_nmse:.1e})"
    return f"{off.max_error:10.2e} {off.nmse:9.1e} {off.cosine:11.8f} {worst:>18}{mark}"


def _stages(found: Examination) -> list[str]:
    title = f"{found.label}, the residual stream after each stage"
    return [
        title,
        f"{'layer':>5} {'stage':12} {_HEADER}",
        *(
            f"{'' if stage.layer is None else stage.layer:>5} {stage.name:12} {_numbers(off, found.allowed)}"
            for stage, off in found.stages.items()
        ),
    ]


def _operations(found: Examination) -> list[str]:
    title, operations = _selected(found)
    return [
        title,
        f"{'layer':>5} {'operation':18} {_HEADER}",
        *(
            f"{'' if operation.stage.layer is None else operation.stage.layer:>5} {operation.name:18} "
            f"{_numbers(operation.difference, operation.allowed)}"
            for operation in operations
        ),
    ]


def _selected(found: Examination) -> tuple[str, list[Operation]]:
    """Return the operations for a terminal and their title; those of many layers are shown once, unless they differ."""
    title = "Operations on equal inputs"
    if found.allowed is None:
        return title, found.operations
    if found.culprit is not None:
        place = found.culprit.stage.place
        return title, [operation for operation in found.operations if operation.stage.place == place]
    worst: dict[tuple[str, str], Operation] = {}
    for operation in found.operations:
        known = worst.setdefault((operation.stage.name, operation.name), operation)
        if operation.difference.worst_nmse > known.difference.worst_nmse:
            worst[operation.stage.name, operation.name] = operation
    return f"{title}, each in the layer where it is worst", list(worst.values())
