"""GGUF files by recipe, see `variants.GGUF`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as GgmlType
from gguf_files import BYTE_TO_CHARACTER, MERGES, write_gguf
from variants import Recipe
from variants_hf import PIECES

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
SPECIAL = ("<|bos|>", "<|end_of_text|>", "<|turn|>", "<|eot_id|>")
TEMPLATE = "{% for m in messages %}<|turn|>{{ m.content }}<|eot_id|>{% endfor %}"
_DIM, _HIDDEN, _LAYERS, _CONTEXT = 64, 96, 2, 128
_SPM = ("spm", "spm-no-scores", "spm-no-prefix")


def write_variant(path: Path, recipe: Recipe) -> Path:
    """Write the file of a recipe."""
    metadata = _vocabulary(recipe)
    heads, width, kv_heads = _heads(recipe)
    per_layer = recipe["arrays"] == "per-layer"

    def layers(value: int) -> Any:
        return [value] * _LAYERS if per_layer else value

    metadata |= {
        "general.name": "variant",
        "tokenizer.chat_template": TEMPLATE,
        "llama.context_length": _CONTEXT,
        "llama.embedding_length": _DIM,
        "llama.block_count": _LAYERS,
        "llama.feed_forward_length": layers(_HIDDEN),
        "llama.attention.head_count": layers(heads),
        "llama.attention.head_count_kv": layers(kv_heads),
        "llama.attention.key_length": width,
        "llama.attention.value_length": width,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": width,
        "llama.rope.freq_base": 500.0,
    }
    scaling = "llama.rope.scaling."
    metadata |= {
        "none": {f"{scaling}type": "none"},
        "linear": {f"{scaling}type": "linear", f"{scaling}factor": 2.5},
        "linear-old": {"llama.rope.scale_linear": 4.0},
        "factor-0": {f"{scaling}factor": 0.0},
        "yarn": {f"{scaling}type": "yarn", f"{scaling}factor": 4.0, f"{scaling}original_context_length": 32},
    }.get(recipe["rope"], {})
    silent = {
        "kv-heads": ["llama.attention.head_count_kv"] if kv_heads == heads else [],
        "rope": ["llama.rope.freq_base", "llama.rope.dimension_count"],
        "lengths": ["llama.attention.key_length", "llama.attention.value_length"],
        "bos": ["tokenizer.ggml.add_bos_token"],
    }.get(recipe["silent"], [])
    metadata = {key: value for key, value in metadata.items() if key not in silent}
    tensors = tensors_of(recipe, len(metadata["tokenizer.ggml.tokens"]))
    types = (
        {}
        if recipe["type"] == "F32"
        else {name: GgmlType[recipe["type"]] for name, array in tensors.items() if array.ndim == 2}
    )
    return write_gguf(path, metadata, tensors, types)


def tensors_of(recipe: Recipe, rows: int) -> dict[str, npt.NDArray[np.float32]]:
    """Return random tensors."""
    rng = np.random.default_rng(7)
    heads, width, kv_heads = _heads(recipe)
    shapes = {
        "attn_q": (heads * width, _DIM),
        "attn_k": (kv_heads * width, _DIM),
        "attn_v": (kv_heads * width, _DIM),
        "attn_output": (_DIM, heads * width),
        "ffn_gate": (_HIDDEN, _DIM),
        "ffn_up": (_HIDDEN, _DIM),
        "ffn_down": (_DIM, _HIDDEN),
    }
    tensors = {"token_embd.weight": rng.normal(size=(rows, _DIM))}
    for layer in range(_LAYERS):
        prefix = f"blk.{layer}."
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"{prefix}{name}.weight"] = rng.normal(1, 0.2, _DIM)
        for name, shape in shapes.items():
            tensors[f"{prefix}{name}.weight"] = rng.normal(size=shape) * 1.4 / np.sqrt(shape[1])
            bias = rng.normal(size=shape[0]) * 0.5
            if recipe["bias"] in ("all", "attention" if name.startswith("attn") else "feed-forward"):
                tensors[f"{prefix}{name}.bias"] = bias
    tensors["output_norm.weight"] = rng.normal(1, 0.2, _DIM)
    if recipe["output"] == "untied":
        tensors["output.weight"] = rng.normal(size=(rows, _DIM))
    if recipe["rope"] == "freqs":
        tensors["rope_freqs.weight"] = 1 + np.arange(width // 2) / 3
    return {name: array.astype(np.float32) for name, array in tensors.items()}


def _heads(recipe: Recipe) -> tuple[int, int, int]:
    heads, _, rest = recipe["heads"].partition("x")
    width, _, kv_heads = rest.partition("/")
    return int(heads), int(width), int(kv_heads)


def _vocabulary(recipe: Recipe) -> dict[str, Any]:
    kind = recipe["tokenizer"]
    keys: dict[str, Any]
    if kind in _SPM:
        names = list(PIECES)
        types = [UNKNOWN, CONTROL, CONTROL] + [BYTE if name.startswith("<0x") else NORMAL for name in names[3:]]
        keys = {"model": "llama"}
        if kind == "spm-no-prefix":
            keys["add_space_prefix"] = False
    else:
        names = [BYTE_TO_CHARACTER[byte] for byte in range(256)] + [merge.replace(" ", "") for merge in MERGES]
        merges = list(MERGES)
        if kind == "extended":
            names += ["nk", "in", "ink"]
            merges += ["n k", "i n", "in k"]
        types = [NORMAL] * len(names)
        keys = {"model": "gpt2", "pre": "llama-bpe" if kind == "extended" else kind, "merges": merges}
        keys |= {"bos_token_id": len(names), "eos_token_id": len(names) + 1, "add_bos_token": True}
    names += SPECIAL[: 3 if recipe["added"].startswith("end") else 4]
    types += [CONTROL] * (len(names) - len(types))
    match recipe["added"]:
        case "end-control" | "end-user" | "end-normal":
            names += ["<|eot_id|>", "<|im_end|>"]
            types += [{"end-control": CONTROL, "end-user": USER_DEFINED, "end-normal": NORMAL}[recipe["added"]]] * 2
        case "user-defined":
            names += ["</think>", "hello w", "[b]"]
            types += [USER_DEFINED] * 3
        case "foreign":
            names += ["\u6f22\u5b57", "a b c"]
            types += [USER_DEFINED] * 2
        case "unused":
            names += ["<r1>", "<r2>"]
            types += [UNUSED] * 2
        case "empty":
            names += [""]
            types += [CONTROL]
    keys |= {"tokens": names, "token_type": types}
    if kind in ("spm", "spm-no-prefix"):
        keys["scores"] = [-float(id) for id in range(len(names))]
    return {f"tokenizer.ggml.{key}": value for key, value in keys.items()}
