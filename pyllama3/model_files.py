"""The files of a model, found and read, before an engine has its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import adapter, function, integer, items, model_reference, shown, text
from .errors import OptionError
from .store.find import pull
from .tokenizer.vocabulary import Vocabulary
from .weights import Weights, load_weights, with_lora

if TYPE_CHECKING:
    from .store.download import Progress

DEFAULT_CONTEXT = 4096
"""Tokens a session can hold unless the model allows fewer or the caller asks for another number."""


@dataclass(frozen=True, eq=False)
class ModelFiles:
    """What the files of a model hold."""

    weights: Weights
    """Mapped, with the hyper-parameters for the context."""
    vocabulary: Vocabulary
    context: int
    """Tokens a session can hold."""


def read_model(
    model: str | Path,
    *,
    context: int | None,
    chat_template: str | None,
    lora: Sequence[tuple[str | Path, float]],
    progress: Progress | None = None,
) -> ModelFiles:
    """Find a model, or download it, and read what is not weights; the arguments are those of `Llama.load`.

    Raises:
        PyLlama3Error: one of its subclasses tells what is wrong with an argument or a file.
    """
    if progress is not None:
        function("progress", progress)
    if chat_template is not None:
        text("chat_template", chat_template)
    adapters = [adapter(given) for given in items("lora", lora, "pairs of a path and a scale")]
    found = pull(model_reference(model), progress=progress)
    weights = load_weights(found.path)
    for folder, scale in adapters:
        weights = with_lora(weights, folder, scale)
    most = weights.config.context
    if context is not None and not 1 <= (context := integer("context", context)) <= most:
        raise OptionError(f"context is {shown(context)}; allowed for this model: 1 to {most}")
    vocabulary = weights.load_vocabulary()
    context = context or min(most, DEFAULT_CONTEXT)
    sampling = {**found.sampling, **weights.load_sampling()}
    weights = replace(weights, config=weights.config.for_context(context), load_sampling=lambda: sampling)
    return ModelFiles(weights, vocabulary, context)
