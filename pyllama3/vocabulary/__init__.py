"""Vocabularies: everything a tokenizer is made of, read from whatever a model brings."""

from __future__ import annotations

from .base import BytePairs, SentencePieces, Vocabulary
from .gguf import gguf_metadata, read_gguf_vocabulary
from .meta import read_tokenizer_model

__all__ = [
    "BytePairs",
    "SentencePieces",
    "Vocabulary",
    "gguf_metadata",
    "read_gguf_vocabulary",
    "read_tokenizer_model",
]
