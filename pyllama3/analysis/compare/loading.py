"""The subjects of a comparison: every model, in every backend, of every build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...arguments import shown
from ...backends import BACKENDS, is_available, load_engine
from ...config import Precision
from ...cpu import choose_threads
from ...errors import BackendError, TokenizerError
from ...runtime.model import EngineModel
from ...store.download import Progress
from ...store.find import find_model
from ...tokenizer.tokenizer import Tokenizer
from ...weights import Weights, load_weights
from .hosts import HostSubject, built_hosts
from .subjects import REFERENCE, EngineSubject, ReferenceSubject, Subject

PYTHON = "python"
PATIENCE = 10
"""Seconds that a comparison may wait for a backend nobody has asked for."""
_PYTHON_SPEED = 3e6
"""Parameters times tokens that the Python backend computes in a second; it need not be more than a guess."""


def load_models(models: Sequence[str], progress: Progress | None = None) -> list[Weights]:
    """Load the weights of models; `progress` receives the bytes done and in all while one is downloaded.

    Raises:
        PyLlama3Error: a model can not be loaded.
    """
    return [load_weights(find_model(model, progress=progress)) for model in models]


def python_seconds(weights: Weights, tokens: int) -> float:
    """Estimate how long the Python backend takes."""
    return weights.parameters * tokens / _PYTHON_SPEED


def default_backends(weights: Sequence[Weights], tokens: int) -> list[str]:
    """Return the backends to compare: for several models the fastest, for one the reference and all there are.

    That in Python is only among them if it takes a few seconds.
    """
    available = [name for name in BACKENDS if is_available(name)]
    if len(weights) > 1:
        return available[:1]
    is_quick = python_seconds(weights[0], tokens) <= PATIENCE
    return [REFERENCE, *(name for name in available if name != PYTHON or is_quick)]


def load_subjects(
    models: Sequence[str],
    found: Sequence[Weights],
    backends: Sequence[str],
    *,
    builds: Sequence[str] = (),
    precision: Precision,
    threads: int | None = None,
) -> list[Subject]:
    """Load models into backends; the first subject is the reference, if it is among the backends.

    Args:
        models: one, or several to compare with the first.
        found: their weights.
        backends: names, "reference" and languages of `built_hosts` among them or not.
        builds: build folders whose backends are subjects, too.
        precision: see `EngineModel`.
        threads: how many compute; by default as many as there are physical cores.

    Raises:
        PyLlama3Error: a backend can not be loaded.
    """
    chosen = choose_threads(threads)
    names = sorted(dict.fromkeys(backends), key=lambda name: name != REFERENCE)
    hosts = built_hosts()
    for name in names:
        if name not in (*BACKENDS, *hosts, REFERENCE):
            known = ", ".join((REFERENCE, *BACKENDS, *hosts))
            raise BackendError(f"backend {shown(name)} is unknown; known: {known}; others: invoke build --targets")
    subjects: list[Subject] = []
    for model, weights in zip(models, found, strict=True):
        of_model = f" with {Path(model).name}" if len(models) > 1 else ""
        for folder in (None, *map(Path, builds)):
            of_build = f" of {folder}" if folder else ""
            for name in names:
                label = f"{name}{of_build}{of_model}"
                if name in hosts:
                    if folder is None:
                        subjects.append(HostSubject(label, weights, hosts[name]))
                elif name != REFERENCE:
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
