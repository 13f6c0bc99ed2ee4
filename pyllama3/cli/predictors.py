"""Models that predict, in a backend or in the numpy reference."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from ..analysis.compare.subjects import REFERENCE
from ..analysis.perplexity import Predictor, ReferencePredictor, SessionPredictor
from ..config import Precision
from ..errors import OptionError
from ..store.find import find_model
from ..tokenizer.tokenizer import Tokenizer
from ..weights import load_weights
from .loading import load_model
from .progress import download_progress


@dataclass(frozen=True)
class LoadedPredictor:
    """A predictor, and the tokenizer of its model."""

    predict: Predictor
    tokenizer: Tokenizer


def load_predictor(
    stack: ExitStack, model: str, *, backend: str | None, threads: int | None, precision: Precision, context: int
) -> LoadedPredictor:
    """Load a model, which `stack` closes.

    Raises:
        PyLlama3Error: see `Llama.load`.
    """
    if backend != REFERENCE:
        llm = stack.enter_context(
            load_model(model, backend=backend, threads=threads, precision=precision, context=context)
        )
        return LoadedPredictor(SessionPredictor(stack.enter_context(llm.session())), llm.tokenizer)
    with download_progress(model) as progress:
        weights = load_weights(find_model(model, progress=progress))
    stack.callback(weights.close)
    if context > weights.config.context:
        raise OptionError(f"context is {context}; allowed for this model: 1 to {weights.config.context}")
    return LoadedPredictor(ReferencePredictor(weights), Tokenizer(weights.load_vocabulary()))
