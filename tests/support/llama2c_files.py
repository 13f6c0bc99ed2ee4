"""llama2.c files, written as its export does, with a vocabulary beside them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from sentence_pieces import PIECES, tokenizer_bin
from tiny_models import Tensors, random_tensors, tiny_config

CONFIG = tiny_config(vocab_size=len(PIECES), context=32)
LAYERED = (
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"),
    *("ffn_norm", "ffn_gate", "ffn_down", "ffn_up"),
)


def rounded(tensors: Tensors) -> Tensors:
    """Clear the bits that bfloat16 does not have."""
    return {name: (array.view(np.uint32) & 0xFFFF0000).view(np.float32) for name, array in tensors.items()}


def llama2c(tensors: Tensors, config: Any = CONFIG, *, bf16: bool) -> bytes:
    """A file as llama2.c's legacy export writes it, or as float2bf16.c of llama2.fu makes of it."""
    is_tied = "output.weight" not in tensors
    vocab_size = config.vocab_size if is_tied else -config.vocab_size
    sizes = (config.dim, config.hidden_dim, config.layers, config.heads, config.kv_heads, vocab_size, config.context)
    arrays = [tensors["token_embd.weight"]]
    arrays += [tensors[f"blk.{layer}.{name}.weight"] for name in LAYERED for layer in range(config.layers)]
    arrays.append(tensors["output_norm.weight"])
    if not bf16:
        arrays.append(np.full(config.context * config.head_dim, np.nan, np.float32))  # freq_cis, real and imaginary
    if not is_tied:
        arrays.append(tensors["output.weight"])
    data = b"".join(array.tobytes() for array in arrays)
    return struct.pack("<7i", *sizes) + (np.frombuffer(data, "<u2")[1::2].tobytes() if bf16 else data)


def write(directory: Path, *, tied: bool, bf16: bool) -> tuple[Path, Tensors]:
    tensors = random_tensors(CONFIG, seed=5, tied=tied)
    tensors = rounded(tensors) if bf16 else tensors
    path = directory / "stories.bin"
    path.write_bytes(llama2c(tensors, bf16=bf16))
    (directory / "tokenizer.bin").write_bytes(tokenizer_bin())
    return path, tensors
