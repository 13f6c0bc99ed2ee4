"""The subjects of a comparison: every model, in every backend, of every build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...backends import BACKENDS, is_available, load_engine
from ...config import Precision
from ...cpu import choose_threads
from ...errors import TokenizerError
from ...runtime.model import EngineModel
from ...store.download import Progress
from ...store.find import find_model
from ...tokenizer.tokenizer import Tokenizer
from ...weights import Weights, load_weights
from .subjects import REFERENCE, EngineSubject, ReferenceSubject, Subject


def load_subjects(
    models: Sequence[str],
    *,
    backends: Sequence[str] | None = None,
    builds: Sequence[str] = (),
    precision: Precision,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[Subject]:
    """Load models into backends; the first subject is the reference, if it is among the backends.

    Args:
        models: one, or several to compare with the first.
        backends: names, "reference" among them or not; by default all that are available and the reference, or for
            several models the fastest backend.
        builds: build folders whose backends are subjects, too.
        precision: see `EngineModel`.
        threads: how many compute; by default as many as there are physical cores.
        progress: receives the bytes done and in all while a model is downloaded.

    Raises:
        PyLlama3Error: a model or a backend can not be loaded.
    """
    chosen = choose_threads(threads)
    available = [name for name in BACKENDS if is_available(name)]
    names = list(dict.fromkeys(backends or (available[:1] if len(models) > 1 else [REFERENCE, *available])))
    names.sort(key=lambda name: name != REFERENCE)
    found = [load_weights(find_model(model, progress=progress)) for model in models]
    subjects: list[Subject] = []
    for model, weights in zip(models, found, strict=True):
        of_model = f" with {Path(model).name}" if len(models) > 1 else ""
        for folder in (None, *map(Path, builds)):
            of_build = f" of {folder}" if folder else ""
            for name in names:
                label = f"{name}{of_build}{of_model}"
                if name != REFERENCE:
                    engine = load_engine(name, folder)
                    loaded = EngineModel(engine, weights, threads=chosen, precision=precision)
                    subjects.append(EngineSubject(label, weights, loaded))
                elif folder is None:
                    subjects.append(ReferenceSubject(label, weights))
    return subjects


def encode(weights: Weights, text: str) -> list[int]:
    """Return the tokens of a text in the vocabulary of a model.

    Raises:
        TokenizerError: the model brings no vocabulary.
    """
    return Tokenizer(weights.load_vocabulary()).encode_prompt(text)


def find_names(weights: Weights, ids: Sequence[int]) -> list[str] | None:
    """Return how tokens are shown; None if the model brings no vocabulary."""
    try:
        tokenizer = Tokenizer(weights.load_vocabulary())
    except TokenizerError:
        return None
    return [tokenizer.token_name(id) for id in ids]
