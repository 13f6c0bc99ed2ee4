"""A Llama 3 inference engine written once in Fusion, hosted in Python.

from pyllama3 import Llama

llm = Llama.load("smollm2")
for piece in llm.generate("Once upon a time", max_tokens=64):
    print(piece.text, end="", flush=True)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import errors
from .errors import PyLlama3Error

if TYPE_CHECKING:
    from .conversation import Conversation
    from .generation.constraint import json_object, json_schema, regex
    from .generation.generation import Piece
    from .generation.sampling import SamplerOptions
    from .generation.scheduler import Scheduler
    from .model import Llama

__all__ = [
    "Conversation",
    "Llama",
    "Piece",
    "PyLlama3Error",
    "SamplerOptions",
    "Scheduler",
    "__version__",
    "errors",
    "json_object",
    "json_schema",
    "regex",
]

__version__ = "0.1.0"

_HOMES = {
    "Conversation": "conversation",
    "Llama": "model",
    "Piece": "generation.generation",
    "SamplerOptions": "generation.sampling",
    "Scheduler": "generation.scheduler",
    "json_object": "generation.constraint",
    "json_schema": "generation.constraint",
    "regex": "generation.constraint",
}
"""Modules of what is imported when it is first asked for: errors and --help do not wait for numpy and tiktoken."""


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pyllama3' has no attribute '{name}'")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
