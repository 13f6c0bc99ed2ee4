"""The comparison: subjects run the same tokens, the first is what the others are compared with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...errors import OptionError
from ...runtime.session import check_ids
from ..dequantized import reference_model
from ..metrics import Agreement, Difference, agreement, difference
from ..reference import ReferenceModel
from .operations import Operation, examine_embedding, examine_head, examine_layer
from .subjects import EMBEDDING, HEAD, EngineSubject, Stage, Subject, Trace
from .tolerances import Tolerance

MAX_TOKENS = 512
"""Most tokens of a comparison: the logits of all are kept."""

Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Examination:
    """How far a subject is from the base."""

    label: str
    seconds: float
    stages: dict[Stage, Difference]
    agreement: Agreement
    operations: list[Operation]
    """Those that were looked into."""
    allowed: float | None
    """Largest NMSE of a row of a stage; None between different models, which are not expected to agree."""
    base_operations: list[Operation]
    """Those of the base, if none of the subject is to blame and the base is an engine, too."""

    @property
    def first_out(self) -> Stage | None:
        """The first stage out of tolerance."""
        allowed = self.allowed
        if allowed is None:
            return None
        return next((stage for stage, found in self.stages.items() if not found.worst_nmse <= allowed), None)

    @property
    def culprit(self) -> Operation | None:
        """The first operation of the subject out of tolerance among those that were looked into."""
        return next((operation for operation in self.operations if operation.is_out), None)

    @property
    def base_culprit(self) -> Operation | None:
        """The same of the base."""
        return next((operation for operation in self.base_operations if operation.is_out), None)

    @property
    def agrees(self) -> bool:
        """Whether no stage and no operation that was looked into is out of tolerance."""
        return self.first_out is None and self.culprit is None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The base, and how far the others are from it."""

    ids: list[int]
    base: str
    base_seconds: float
    examinations: list[Examination]

    @property
    def agrees(self) -> bool:
        """Whether no subject leaves its tolerance."""
        return all(found.agrees for found in self.examinations)


def compare(
    subjects: Sequence[Subject],
    ids: Sequence[int],
    *,
    bisect: bool = False,
    say: Say = lambda line: None,
) -> Comparison:
    """Run tokens through all subjects; `bisect` looks for the first operation that is out of tolerance.

    It begins with the layer whose stage is, and goes on with those before it; without such a stage it looks into all.
    So it does for a subject with another model than the first, which has no tolerance.

    Raises:
        OptionError: there are less than two subjects, too many tokens, tokens that are not in the vocabulary, or models
            of different shapes.
    """
    if len(subjects) < 2:
        raise OptionError("there is nothing to compare: give two backends, builds or models")
    base, *others = subjects
    _check(subjects, ids)
    judge = reference_model(base.weights)
    say(f"running {base.label}")
    expected = base.run(ids)
    examinations = []
    for subject in others:
        say(f"running {subject.label}")
        trace = subject.run(ids)
        stages = {stage: difference(trace.stages[stage], expected.stages[stage]) for stage in expected.stages}
        found = Examination(
            label=subject.label,
            seconds=trace.seconds,
            stages=stages,
            agreement=agreement(trace.stages[HEAD], expected.stages[HEAD]),
            operations=[],
            base_operations=[],
            allowed=max(base.tolerance.stage, subject.tolerance.stage) if subject.weights is base.weights else None,
        )
        if bisect and isinstance(subject, EngineSubject):
            for stage in _suspects(found):
                say(f"looking into {stage.place} of {subject.label}")
                tolerance = None if found.allowed is None else subject.tolerance
                found.operations.extend(_examine(subject, judge, expected, ids, stage, tolerance))
                if found.culprit:
                    break
            if found.first_out and not found.culprit and isinstance(base, EngineSubject):
                found.base_operations.extend(_examine(base, judge, expected, ids, found.first_out, base.tolerance))
        examinations.append(found)
    return Comparison(ids=list(ids), base=base.label, base_seconds=expected.seconds, examinations=examinations)


def _check(subjects: Sequence[Subject], ids: Sequence[int]) -> None:
    config = subjects[0].weights.config
    if not 1 <= len(ids) <= MAX_TOKENS:
        raise OptionError(f"there are {len(ids)} tokens to compare with; allowed: 1 to {MAX_TOKENS}")
    check_ids(ids, config.vocab_size)
    for subject in subjects[1:]:
        for name in ("layers", "dim", "heads", "kv_heads", "head_dim", "hidden_dim", "vocab_size"):
            ours, theirs = getattr(config, name), getattr(subject.weights.config, name)
            if ours != theirs:
                raise OptionError(
                    f"{subject.weights.path}: {name} is {theirs}, that of {subjects[0].weights.path} is {ours}; "
                    "only models of one shape can be compared"
                )


def _suspects(found: Examination) -> list[Stage]:
    """Return the stages to look into, in this order: of a layer, one stands for both."""
    unique = {stage.layer: stage for stage in found.stages if stage.layer is not None}
    stages = [EMBEDDING, *unique.values(), HEAD]
    first = found.first_out
    if first is None:
        return stages
    return [first, *itertools.takewhile(lambda stage: stage.place != first.place, stages)]


def _examine(
    subject: EngineSubject,
    judge: ReferenceModel,
    trace: Trace,
    ids: Sequence[int],
    stage: Stage,
    tolerance: Tolerance | None,
) -> list[Operation]:
    if stage == EMBEDDING:
        return examine_embedding(subject, judge, ids, tolerance)
    if stage.layer is None:
        return examine_head(subject, judge, trace, ids, tolerance)
    return examine_layer(subject, judge, trace, ids, stage.layer, tolerance)
