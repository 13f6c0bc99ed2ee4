"""Models that say what they are told: after a token comes, almost certainly, the one that a script names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tiny_models import MERGES, SPECIAL_TOKENS, random_tensors, tiny_config, write_gguf

IDS: dict[str, int] = {
    **{bytes([byte]).decode("latin-1"): byte for byte in range(256)},
    **{(left + right).decode(): 256 + rank for rank, (left, right) in enumerate(MERGES)},
    **{name: 256 + len(MERGES) + n for n, name in enumerate(SPECIAL_TOKENS)},
}
"""Ids of tokens: single bytes are written as the Latin-1 character of their number."""
START, END = IDS["\n\n"], IDS["<|eot_id|>"]
"""The last token of a prompt in Llama 3's chat format, and the one that ends an answer."""


def script(*parts: str | bytes) -> list[int]:
    """Return START and the ids of some tokens: text is the name of one token, bytes are a token each."""
    ids = [START]
    for part in parts:
        ids += [IDS[part]] if isinstance(part, str) else list(part)
    return ids


def write_scripted(path: Path, *scripts: Sequence[int], **overrides: Any) -> Path:
    """Write a model which follows scripts: no token has two successors in them.

    The layers add nothing to the residual stream. A row of the output matrix is the sum of the directions of the
    embeddings of the tokens before it, and its logit behind one of them about 20 above that of others.
    """
    config = tiny_config(dim=128, **overrides)
    tensors = random_tensors(config, 1)
    for layer in range(config.layers):
        tensors[f"blk.{layer}.attn_output.weight"][:] = 0
        tensors[f"blk.{layer}.ffn_down.weight"][:] = 0
    tensors["output_norm.weight"][:] = 1
    tensors["output.weight"][:] = 0
    successors: dict[int, int] = {}
    for before, after in (pair for ids in scripts for pair in pairwise(ids)):
        assert successors.setdefault(before, after) == after, f"{before} has two successors"
    for before, after in successors.items():
        embedding = tensors["token_embd.weight"][before]
        tensors["output.weight"][after] += 3 * embedding / np.linalg.norm(embedding)
    write_gguf(path, config, tensors)
    return path
