"""RoPE scaling in GGUF metadata, and a text whose logits depend on it."""

from __future__ import annotations

from typing import Any

SCALING = "llama.rope.scaling."
VARIANTS: dict[str, dict[str, Any]] = {
    "none": {},
    "linear": {"type": "linear", "factor": 4.0},
    "a factor without a type": {"factor": 4.0},
    "a factor for none": {"type": "none", "factor": 4.0},
    "yarn": {"type": "yarn", "factor": 4.0, "original_context_length": 16},
    "yarn from the model's context": {"type": "yarn", "factor": 8.0},
    "yarn with another magnitude": {"type": "yarn", "factor": 4.0, "original_context_length": 16, "attn_factor": 0.8},
    "yarn with a factor below 1": {"type": "yarn", "factor": 0.5, "original_context_length": 64},
    "yarn with fast and slow pairs": {"type": "yarn", "factor": 4.0, "original_context_length": 4096},
    "a magnitude alone": {"attn_factor": 0.8},
}
IDS = [(7 * n * n + 13 * n) % 256 for n in range(60)]


def metadata(variant: str) -> dict[str, Any]:
    """Return the metadata of a variant."""
    return {SCALING + key: value for key, value in VARIANTS[variant].items()}
