"""Why a token of an answer was chosen, and what else could have come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..analysis.explain.choices import Candidate
from ..analysis.explain.explanation import MAX_TOKENS, explain, explain_token
from ..analysis.pages.explain import page_text, shown
from ..errors import ContextError
from ..generation.generation import Generation
from ..generation.sampling import SamplerOptions
from ..model import Llama
from .fields import ARRAY, INTEGER, FieldError, get, is_a
from .protocol import SAMPLING, read_fields, read_sampling


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt, what of its answer came before the token in question, and how the answer was sampled."""

    prompt: list[int]
    answer: list[int]
    options: SamplerOptions


def read_question(body: Any, defaults: Mapping[str, Any]) -> Question:
    """Translate the body of a request: the ids of `prompt` and `answer`, and options of the sampler.

    Raises:
        PyLlama3Error: a field is missing, has a value that is not allowed, or is not supported.
    """
    fields = read_fields(body, {*SAMPLING, "prompt", "answer", "model"})
    texts = {name: get(fields, name, ARRAY) for name in ("prompt", "answer")}
    for name, ids in texts.items():
        if not all(is_a(id, INTEGER) for id in ids):
            raise FieldError(name, f"{name} is to be an array of token ids")
    return Question(**texts, options=SamplerOptions(**{**defaults, **read_sampling(fields)}))


def looking(llm: Llama, question: Question) -> Generation:
    """Return what makes the worker compute the logits in question.

    Raises:
        PyLlama3Error: the text does not fit into the context, or has unknown tokens.
    """
    ids = [*question.prompt, *question.answer]
    return llm.generation(ids, max_tokens=1, temperature=0, keep_logits=True)


def why_body(llm: Llama, question: Question, looked: Generation) -> dict[str, Any]:
    """Return how the token was chosen, by the logits that the worker has computed."""
    assert looked.logits is not None
    choice = explain_token(llm, looked.logits, question.prompt, question.answer, question.options)
    return {
        "chosen": _candidate(llm, choice.id),
        "random": choice.random,
        "begin": choice.begin,
        "end": choice.end,
        "steps": [
            {"name": step.name, "survivors": step.survivors, "best": [_with_share(llm, one) for one in step.best]}
            for step in choice.steps
        ],
    }


def explain_whole(llm: Llama, question: Question) -> str:
    """Return the page of `explain` about the beginning of an answer.

    Raises:
        PyLlama3Error: the prompt is too long.
    """
    room = MAX_TOKENS - len(question.prompt)
    if room < 1:
        raise ContextError(f"{len(question.prompt)} prompt tokens are too many to explain; allowed: {MAX_TOKENS - 1}")
    count = max(1, min(room, len(question.answer)))
    return page_text(explain(llm, question.prompt, max_tokens=count, options=question.options), llm)


def _candidate(llm: Llama, id: int) -> dict[str, Any]:
    return {"id": id, "text": shown(llm.tokenizer, id), "stops": id in llm.tokenizer.stop_ids}


def _with_share(llm: Llama, candidate: Candidate) -> dict[str, Any]:
    return {**_candidate(llm, candidate.id), "probability": candidate.probability}
