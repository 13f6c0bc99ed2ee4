"""GGUF files written by the `gguf` package from any metadata, good or bad, and a small byte-level vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as GgmlType
from tiny_models import Tensors, random_tensors, tiny_config

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4

_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTABLE]
BYTE_TO_CHARACTER = {byte: chr(byte) for byte in _PRINTABLE} | {b: chr(256 + n) for n, b in enumerate(_OTHERS)}
"""GPT-2's alphabet: bytes that print stand for themselves, the others are numbered from U+0100 on."""

MERGES = (
    *("h e", "l l", "he ll", "hell o", "Ġ w", "Ġw o", "r l", "rl d", "Ġ Ġ", "Ċ Ċ", "! !", "ã ģ", "' S", "' s"),
    *("0 0", "00 0", "000 0", "Ġ 0"),  # which of these are used tells how digits are cut
)
LLAMA3_SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
CHATML_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def spell(data: bytes) -> str:
    """Write bytes in GPT-2's alphabet."""
    return "".join(BYTE_TO_CHARACTER[byte] for byte in data)


def vocabulary(
    special: tuple[str, ...] = LLAMA3_SPECIAL, *, pre: str = "llama-bpe", bytes_left_out: bytes = b""
) -> dict[str, Any]:
    """Metadata of a vocabulary: single bytes, the products of MERGES, then control tokens, the last of them EOS."""
    normal = [BYTE_TO_CHARACTER[byte] for byte in range(256) if byte not in bytes_left_out]
    normal += [merge.replace(" ", "") for merge in MERGES]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [*normal, *special],
        "tokenizer.ggml.token_type": [NORMAL] * len(normal) + [CONTROL] * len(special),
        "tokenizer.ggml.merges": list(MERGES),
        "tokenizer.ggml.bos_token_id": len(normal),
        "tokenizer.ggml.eos_token_id": len(normal) + len(special) - 1,
    }


VOCAB_SIZE = len(vocabulary()["tokenizer.ggml.tokens"])
CONFIG = tiny_config(vocab_size=VOCAB_SIZE)


def llama_metadata() -> dict[str, Any]:
    """Metadata of a Llama of the size of CONFIG."""
    return {
        "general.name": CONFIG.name,
        "llama.context_length": CONFIG.context,
        "llama.embedding_length": CONFIG.dim,
        "llama.block_count": CONFIG.layers,
        "llama.feed_forward_length": CONFIG.hidden_dim,
        "llama.attention.head_count": CONFIG.heads,
        "llama.attention.head_count_kv": CONFIG.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": CONFIG.norm_eps,
        "llama.rope.freq_base": CONFIG.rope_theta,
        **vocabulary(),
    }


def llama_tensors() -> Tensors:
    """Random tensors of CONFIG, tied."""
    return random_tensors(CONFIG, seed=1, tied=True)


def write_gguf(
    path: Path,
    metadata: Mapping[str, Any],
    tensors: Tensors,
    types: Mapping[str, GgmlType] | None = None,
    *,
    architecture: str = "llama",
) -> Path:
    """Write a GGUF file: tensors are F32 but for `types`; None removes a key, integers become u32 and floats f32."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in metadata.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif value is not None:
            writer.add_array(key, value)
    for name, values in tensors.items():
        type = (types or {}).get(name, GgmlType.F32)
        writer.add_tensor(name, gguf.quantize(np.asarray(values, np.float32), type), raw_dtype=type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_llama(path: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """Write the Llama of `llama_metadata` with some metadata changed."""
    return write_gguf(path, llama_metadata() | dict(changes or {}), llama_tensors())
