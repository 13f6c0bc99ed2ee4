"""Vocabularies: everything a tokenizer is made of, read from whatever a model brings.

The readers of other files than GGUF are imported from their modules, which most models do not need.
"""

from __future__ import annotations

from .base import BytePairs, Edges, LibraryTokenizer, SentencePieces, Vocabulary
from .gguf import read_gguf_vocabulary
from .gguf_writer import gguf_metadata

__all__ = [
    "BytePairs",
    "Edges",
    "LibraryTokenizer",
    "SentencePieces",
    "Vocabulary",
    "gguf_metadata",
    "read_gguf_vocabulary",
]
