"""The comparison: subjects run the same tokens, the first is what the others are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import OptionError
from .metrics import Agreement, Difference, agreement, difference
from .operations import Operation, examine_embedding, examine_head, examine_layer
from .reference import ReferenceModel
from .subjects import EMBEDDING, HEAD, EngineSubject, Stage, Subject, Trace, reference_model
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
    tolerance: Tolerance | None
    """None between different models, which are not expected to agree."""
    base_operations: list[Operation]
    """Those of the base, if none of the subject is to blame and the base is an engine, too."""

    @property
    def first_out(self) -> Stage | None:
        """The first stage out of tolerance."""
        if self.tolerance is None:
            return None
        allowed = self.tolerance.stage
        return next((stage for stage, found in self.stages.items() if not found.worst_nmse <= allowed), None)

    @property
    def culprit(self) -> Operation | None:
        """The first operation of the subject out of tolerance among those that were looked into."""
        return self._first_out(self.operations)

    @property
    def base_culprit(self) -> Operation | None:
        """The same of the base."""
        return self._first_out(self.base_operations)

    def _first_out(self, operations: list[Operation]) -> Operation | None:
        if self.tolerance is None:
            return None
        allowed = self.tolerance.operation
        return next((found for found in operations if not found.difference.worst_nmse <= allowed), None)


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
        return all(found.first_out is None for found in self.examinations)


def compare(
    subjects: Sequence[Subject],
    ids: Sequence[int],
    *,
    tolerance: Tolerance,
    bisect: bool = False,
    say: Say = lambda line: None,
) -> Comparison:
    """Run tokens through all subjects; `bisect` looks into the first layer that is out of tolerance.

    A subject with another model than the first has no tolerance, and `bisect` looks into all its layers.

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
            tolerance=tolerance if subject.weights is base.weights else None,
        )
        if bisect and isinstance(subject, EngineSubject):
            for stage in _suspects(found):
                say(f"looking into {stage} of {subject.label}")
                found.operations.extend(_examine(subject, judge, expected, ids, stage))
                if found.first_out and not found.culprit and isinstance(base, EngineSubject):
                    found.base_operations.extend(_examine(base, judge, expected, ids, stage))
        examinations.append(found)
    return Comparison(ids=list(ids), base=base.label, base_seconds=expected.seconds, examinations=examinations)


def _check(subjects: Sequence[Subject], ids: Sequence[int]) -> None:
    config = subjects[0].weights.config
    if not 1 <= len(ids) <= MAX_TOKENS:
        raise OptionError(f"there are {len(ids)} tokens to compare with; allowed: 1 to {MAX_TOKENS}")
    for id in ids:
        if not 0 <= id < config.vocab_size:
            raise OptionError(f"token {id} is not in the vocabulary; allowed: 0 to {config.vocab_size - 1}")
    for subject in subjects[1:]:
        for name in ("layers", "dim", "heads", "kv_heads", "head_dim", "hidden_dim", "vocab_size"):
            ours, theirs = getattr(config, name), getattr(subject.weights.config, name)
            if ours != theirs:
                raise OptionError(
                    f"{subject.weights.path}: {name} is {theirs}, that of {subjects[0].weights.path} is {ours}; "
                    "only models of one shape can be compared"
                )


def _suspects(found: Examination) -> list[Stage]:
    """Return the stages to look into: of a layer, one stands for both."""
    if found.tolerance is not None:
        return [found.first_out] if found.first_out is not None else []
    unique = {stage.layer: stage for stage in found.stages if stage.layer is not None}
    return [EMBEDDING, *unique.values(), HEAD]


def _examine(
    subject: EngineSubject, judge: ReferenceModel, trace: Trace, ids: Sequence[int], stage: Stage
) -> list[Operation]:
    if stage == EMBEDDING:
        return examine_embedding(subject, judge, ids)
    if stage.layer is None:
        return examine_head(subject, judge, trace, ids)
    return examine_layer(subject, judge, trace, ids, stage.layer)
