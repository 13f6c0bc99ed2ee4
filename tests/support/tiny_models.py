"""Random models of a few thousand weights, as arrays and as complete GGUF files written by the `gguf` package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from blocks import blocks_like
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, TokenType
from gguf.quants import dequantize, quantize

from pyllama3.config import ModelConfig, RopeStyle
from pyllama3.weights import TensorType

Tensors = dict[str, npt.NDArray[np.float32]]

SPECIAL_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
)
"""Llama 3's names of the tokens that the program looks for; they follow the merged tokens."""

MERGES = (
    (b"h", b"e"),
    (b"l", b"l"),
    (b"he", b"ll"),
    (b"hell", b"o"),
    (b" ", b"w"),
    (b"o", b"r"),
    (b" w", b"or"),
    (b"l", b"d"),
    (b" wor", b"ld"),
    (b"t", b"he"),
    (b" ", b"the"),
    (b"\n", b"\n"),
    (b"\xc3", b"\xa9"),
)
"""Byte pairs by rank; each makes a token of its own."""


def tiny_config(**overrides: Any) -> ModelConfig:
    """Return a small configuration whose rows and columns are whole quantization blocks."""
    config = ModelConfig(
        name="tiny",
        dim=64,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=16,
        hidden_dim=96,
        vocab_size=288,
        context=64,
        norm_eps=1e-5,
        rope_theta=10000.0,
    )
    return replace(config, **overrides)


def random_tensors(config: ModelConfig, seed: int, tied: bool = False) -> Tensors:
    """Return tensors with GGUF's names at scales that keep activations near 1, attention uneven and logits near 3."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, gain: float = 1.0) -> npt.NDArray[np.float32]:
        return (rng.normal(size=(rows, columns)) * gain / np.sqrt(columns)).astype(np.float32)

    def norm() -> npt.NDArray[np.float32]:
        return rng.normal(1, 0.2, config.dim).astype(np.float32)

    q_dim = config.heads * config.head_dim
    tensors = {"token_embd.weight": matrix(config.vocab_size, config.dim, gain=3)}
    for layer in range(config.layers):
        block = {
            "attn_norm": norm(),
            "attn_q": matrix(q_dim, config.dim, gain=1.5),
            "attn_k": matrix(config.kv_dim, config.dim, gain=1.5),
            "attn_v": matrix(config.kv_dim, config.dim),
            "attn_output": matrix(config.dim, q_dim),
            "ffn_norm": norm(),
            "ffn_gate": matrix(config.hidden_dim, config.dim),
            "ffn_up": matrix(config.hidden_dim, config.dim),
            "ffn_down": matrix(config.dim, config.hidden_dim),
        }
        tensors |= {f"blk.{layer}.{name}.weight": array for name, array in block.items()}
    tensors["output_norm.weight"] = norm()
    if not tied:
        tensors["output.weight"] = matrix(config.vocab_size, config.dim, gain=3)
    return tensors


def write_gguf(
    path: Path,
    config: ModelConfig,
    tensors: Tensors,
    types: GGMLQuantizationType | Mapping[str, GGMLQuantizationType] = GGMLQuantizationType.F32,
    *,
    chat_template: str | None = None,
) -> None:
    """Write a model with a byte-level toy vocabulary.

    `types` is the type of all matrices, or maps the names of those that are not F32; vectors are F32, as in any GGUF.
    Matrices of types that `gguf` cannot quantize to are other random numbers of the same size.
    """
    if config.rope_style != RopeStyle.INTERLEAVED:
        raise ValueError("GGUF's llama architecture stores the rows of interleaved RoPE")
    writer = GGUFWriter(path, "llama")
    _add_config(writer, config)
    _add_vocabulary(writer, config.vocab_size)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    if config.rope_factors is not None:
        tensors = {"rope_freqs.weight": np.array(config.rope_factors, np.float32)} | tensors
    for name, array in tensors.items():
        kind = types if isinstance(types, GGMLQuantizationType) else types.get(name, GGMLQuantizationType.F32)
        if array.ndim == 1:
            kind = GGMLQuantizationType.F32
        writer.add_tensor(name, _stored(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _stored(array: npt.NDArray[np.float32], kind: GGMLQuantizationType) -> npt.NDArray[Any]:
    try:
        return quantize(array, kind)
    except NotImplementedError:
        return blocks_like(array, TensorType[kind.name])


def write_tiny(
    path: Path, seed: int = 1, type: GGMLQuantizationType = GGMLQuantizationType.F32, **overrides: Any
) -> Path:
    """Write a random model of `tiny_config`, and return the path."""
    config = tiny_config(**overrides)
    write_gguf(path, config, random_tensors(config, seed), type)
    return path


def dequantized(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Return the tensors of a GGUF file as the `gguf` package reads them, for `reference.ReferenceModel`."""
    return {
        tensor.name: dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        for tensor in GGUFReader(path).tensors
    }


def _add_config(writer: GGUFWriter, config: ModelConfig) -> None:
    writer.add_name(config.name)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.hidden_dim)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_rope_dimension_count(config.head_dim)


def _add_vocabulary(writer: GGUFWriter, vocab_size: int) -> None:
    """Add 256 single bytes (id = byte), the merged tokens, the special tokens and reserved ones up to vocab_size."""
    texts = [bytes([byte]) for byte in range(256)] + [left + right for left, right in MERGES]
    reserved = vocab_size - len(texts) - len(SPECIAL_TOKENS)
    if reserved < 0:
        raise ValueError(f"vocab_size {vocab_size} is below {len(texts) + len(SPECIAL_TOKENS)}")
    special = [*SPECIAL_TOKENS, *(f"<|reserved_special_token_{i}|>" for i in range(reserved))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list([_spell(text) for text in texts] + special)
    writer.add_token_types([TokenType.NORMAL] * len(texts) + [TokenType.CONTROL] * len(special))
    writer.add_token_merges([" ".join(map(_spell, pair)) for pair in MERGES])
    first_special = len(texts)
    writer.add_bos_token_id(first_special + SPECIAL_TOKENS.index("<|begin_of_text|>"))
    writer.add_eos_token_id(first_special + SPECIAL_TOKENS.index("<|eot_id|>"))
    writer.add_add_bos_token(True)


_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTABLE]
_ALPHABET = {byte: chr(byte) for byte in _PRINTABLE} | {byte: chr(0x100 + n) for n, byte in enumerate(_OTHERS)}


def _spell(text: bytes) -> str:
    """Return bytes in GPT-2's alphabet: printable Latin-1 stands for itself, the 68 others for U+0100 on."""
    return "".join(_ALPHABET[byte] for byte in text)
