"""A Llama 3 inference engine written once in Fusion, hosted in Python.

from pyllama3 import Llama

llm = Llama.load("smollm2")
for piece in llm.generate("Once upon a time", max_tokens=64):
    print(piece.text, end="", flush=True)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import PyLlama3Error

if TYPE_CHECKING:
    from .model import Llama

__all__ = ["Llama", "PyLlama3Error", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `Llama` when it is first asked for, so that errors and --help do not wait for numpy and tiktoken."""
    if name == "Llama":
        from .model import Llama

        return Llama
    raise AttributeError(f"module 'pyllama3' has no attribute '{name}'")
