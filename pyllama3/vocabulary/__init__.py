"""Vocabularies: everything a tokenizer is made of, read from whatever a model brings."""

from __future__ import annotations

from .base import BytePairs, SentencePieces, Vocabulary
from .gguf import gguf_metadata, read_gguf_vocabulary
from .huggingface import read_huggingface_vocabulary
from .llama2c import read_tokenizer_bin
from .meta import read_tokenizer_model

__all__ = [
    "BytePairs",
    "SentencePieces",
    "Vocabulary",
    "gguf_metadata",
    "read_gguf_vocabulary",
    "read_huggingface_vocabulary",
    "read_tokenizer_bin",
    "read_tokenizer_model",
]
