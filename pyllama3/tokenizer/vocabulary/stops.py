"""Tokens that end a generation, by their names."""

from __future__ import annotations

from collections.abc import Mapping

_TURN = (
    *("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>", "<|im_end|>", "<|endoftext|>", "</s>", "<|end|>", "<end_of_turn>"),
    *("<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<eos>", "<|return|>", "<|call|>", "<end_of_utterance>"),
    "<\N{FULLWIDTH VERTICAL LINE}end\N{LOWER ONE EIGHTH BLOCK}of\N{LOWER ONE EIGHTH BLOCK}sentence"
    "\N{FULLWIDTH VERTICAL LINE}>",
)
_CODE = ("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<|file_sep|>")
STOP_NAMES = frozenset({*_TURN, *_CODE})
"""Names that end a text, a message, a turn or a file, whatever type a file gives them (llama.cpp, llama-vocab.cpp)."""


def find_stop_ids(ids: Mapping[str, int]) -> set[int]:
    """Return those of some tokens whose names say that they end something."""
    return {ids[name] for name in STOP_NAMES & ids.keys()}
