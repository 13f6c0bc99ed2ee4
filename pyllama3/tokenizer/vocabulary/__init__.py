"""Vocabularies: everything a tokenizer is made of, read from whatever a model brings.

The readers of other files than GGUF are imported from their modules, which most models do not need.
"""

from __future__ import annotations

from .base import BytePairs, SentencePieces, Vocabulary
from .gguf import gguf_metadata, read_gguf_vocabulary

__all__ = [
    "BytePairs",
    "SentencePieces",
    "Vocabulary",
    "gguf_metadata",
    "read_gguf_vocabulary",
]
