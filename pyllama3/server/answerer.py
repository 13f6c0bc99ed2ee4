"""Who answers the requests of a batch: a model in this process, or others that keep to the same interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..arguments import shown
from ..errors import ClusterError, OptionError, PyLlama3Error
from ..generation.generation import Generation, Piece
from ..generation.sampling import SamplerOptions
from ..model import Llama
from .answers import error_body, error_status, response_body
from .fields import FieldError
from .protocol import Request, read_request


@dataclass(frozen=True, eq=False)
class Question:
    """A line of a batch that is to be answered."""

    number: int
    """Of the line."""
    custom_id: str
    url: Any
    body: Any


@dataclass(frozen=True, eq=False)
class Answer:
    """What a question leads to."""

    question: Question
    status: int
    body: Mapping[str, Any]


class Answerer(Protocol):
    """Answers questions, several at a time, in any order, and each once."""

    @property
    def free(self) -> int:
        """How many more questions there is room for at the moment."""

    def add(self, question: Question) -> None:
        """Take a question; there has to be room."""

    def wait(self) -> Sequence[Answer]:
        """Work on the questions and return those answers that are ready, if any.

        Raises:
            PyLlama3Error: there can be no more answers.
        """


@dataclass(frozen=True, kw_only=True)
class _Job:
    question: Question
    request: Request
    pieces: list[Piece] = field(default_factory=list)


class LocalAnswerer:
    """A model in this process. It is used by one thread."""

    def __init__(self, llm: Llama, *, parallel: int, defaults: Mapping[str, Any]) -> None:
        """Allocate the cache for so many questions at a time.

        Raises:
            BackendError: there is not enough memory.
            OptionError: the defaults are no options of the sampler.
        """
        try:
            SamplerOptions(**defaults)  # else it would be the fault of each question
        except TypeError:
            raise OptionError(f"defaults are {shown(defaults)}; options of the sampler are expected") from None
        self._llm = llm
        self._defaults = defaults
        self._scheduler = llm.scheduler(parallel)
        self._jobs: dict[Generation, _Job] = {}
        self._refused: list[Answer] = []

    @property
    def free(self) -> int:
        """How many more questions there is room for at the moment."""
        return self._scheduler.free - len(self._refused)

    def add(self, question: Question) -> None:
        """Take a question; one that is wrong is answered by the next `wait`."""
        try:
            request, generation = prepare(self._llm, question.url, question.body, self._defaults)
        except Exception as error:  # one line must not stop the others, now and whenever the batch goes on
            self._refused.append(_refusal(question, error))
            return
        self._jobs[generation] = _Job(question=question, request=request)
        self._scheduler.add(generation)

    def wait(self) -> Sequence[Answer]:
        """Return the answers to wrong questions, or those that a pass has finished.

        Raises:
            ClusterError: a part of the model, on another machine, has died.
        """
        answers, self._refused = self._refused, []
        if answers:
            return answers
        for generation, piece in self._scheduler.step():
            job = self._jobs[generation]
            if isinstance(piece, ClusterError):
                raise piece  # no question is to blame
            if isinstance(piece, PyLlama3Error):
                del self._jobs[generation]
                answers.append(_refusal(job.question, piece))
                continue
            job.pieces.append(piece)
            if generation.finished:
                del self._jobs[generation]
                body = response_body(job.request, self._llm.tokenizer, [job.pieces])
                answers.append(Answer(job.question, 200, body))
        return answers


def prepare(llm: Llama, url: Any, body: Any, defaults: Mapping[str, Any]) -> tuple[Request, Generation]:
    """Return what a request of a batch asks for, and the text that is to be generated.

    Raises:
        PyLlama3Error: it is wrong, or asks for what batches do not support.
    """
    request = read_request(llm, url, body, defaults)
    for name, found, supported in (
        ("stream", request.stream, False),
        ("n", request.count, 1),
        ("prompt", f"an array of {len(request.prompts)}", "an array of 1"),
    ):
        if found != supported:
            raise FieldError(name, f"{name} is {found}; supported in batches: {supported}")
    return request, llm.generation(request.prompts[0], **request.options)


def _refusal(question: Question, error: Exception) -> Answer:
    return Answer(question, error_status(error), error_body(error))
