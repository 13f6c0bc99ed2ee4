"""Llama models in Hugging Face directories: config.json, weights, tokenizer and what is beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import WeightsError
from ..layout import EMBEDDING, OUTPUT, known_tensors
from ..tensor import Tensor, Weights
from .huggingface_config import read_config
from .huggingface_files import read_tensors
from .huggingface_tokenizer import load_sampling, load_templates, load_vocabulary
from .json_files import read_json
from .keys import Keys

CONFIG = "config.json"
_COMPARED = 1 << 24
"""Bytes of two matrices that are compared at a time."""

_NAMES = {"embed_tokens.weight": EMBEDDING, "norm.weight": "output_norm.weight", "lm_head.weight": OUTPUT}
_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_LAYER = re.compile(r"layers\.(\d+)\.(.+)\.(weight|bias)")
_BASE = "model."
"""What begins the names of tensors, except of the output matrix; it may be missing."""
_ATTENTION, _FEED_FORWARD = "attention_bias", "mlp_bias"


def load_huggingface(path: Path) -> Weights:
    """Map the weights of a directory, or of one file in it, and check that they are a Llama model.

    The rows of q and k stay in Hugging Face's order: the engine rotates the halves of a head.

    Raises:
        OSError: a file cannot be opened or mapped.
        WeightsError: a file is missing or damaged, the model is not a Llama, or its tensors do not fit config.json.
    """
    directory = path if path.is_dir() else path.parent
    keys = Keys(directory / CONFIG, read_json(directory / CONFIG))
    config = read_config(keys, directory.resolve().name)
    tensors = {}
    for name, tensor in read_tensors(path, directory).items():
        gguf_name = to_gguf_name(name)
        tensors[gguf_name] = replace(tensor, name=gguf_name)
    tied = keys.flag("tie_word_embeddings", False)
    if OUTPUT not in tensors and not tied:
        raise WeightsError(f"{path}: missing tensor 'lm_head.weight', although tie_word_embeddings is false")
    biases = _unasked_biases(keys, config.layers, tensors)
    checked = known_tensors(path, config, {name: tensor for name, tensor in tensors.items() if name not in biases})
    assumed = keys.assumed
    if tied and OUTPUT in checked:
        if _are_equal(checked[OUTPUT], checked[EMBEDDING]):
            del checked[OUTPUT]
        else:
            assumed.append("lm_head.weight: kept, as it is not the embedding that config.json ties it to")
    ignored = [name for name in tensors if name not in checked and name != OUTPUT and "rotary_emb" not in name]
    if ignored:
        assumed.append(f"tensor {ignored[0]}{_more(ignored)}: ignored, as config.json asks for no such tensor")
    return Weights(
        path,
        config,
        checked,
        load_vocabulary=partial(load_vocabulary, directory, keys, config.vocab_size),
        load_templates=partial(load_templates, directory),
        load_sampling=partial(load_sampling, directory),
        assumed=tuple(assumed),
    )


def to_gguf_name(name: str) -> str:
    """Return GGUF's name of a tensor, or the name itself if it is not part of a Llama."""
    short = name.removeprefix(_BASE)
    if short in _NAMES:
        return _NAMES[short]
    match = _LAYER.fullmatch(short)
    if match and match[2] in _LAYER_NAMES:
        return f"blk.{int(match[1])}.{_LAYER_NAMES[match[2]]}.{match[3]}"
    return name


def _unasked_biases(keys: Keys, layers: int, tensors: Mapping[str, Tensor]) -> set[str]:
    """Return the biases that config.json does not ask for; one that is missing is zero, as `transformers` has it."""
    asked = {
        f"blk.{layer}.{name}.bias"
        for key, start in ((_ATTENTION, "self_attn."), (_FEED_FORWARD, "mlp."))
        if keys.flag(key, False)
        for theirs, name in _LAYER_NAMES.items()
        if theirs.startswith(start)
        for layer in range(layers)
    }
    missing = sorted(asked - tensors.keys())
    if missing:
        keys.assumed.append(f"{missing[0]}{_more(missing)}: zero, as no file has it")
    return {name for name in tensors if name.endswith(".bias") and name not in asked}


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _are_equal(a: Tensor, b: Tensor) -> bool:
    """Tell whether two matrices are the same, and let go of what was read for it."""
    if (a.type, a.shape) != (b.type, b.shape):
        return False
    starts = range(0, a.nbytes, _COMPARED)
    same = all(np.array_equal(a.data[n : n + _COMPARED], b.data[n : n + _COMPARED]) for n in starts)
    a.release()
    b.release()
    return same
