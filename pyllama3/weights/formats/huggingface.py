"""Llama models in Hugging Face directories: config.json, *.safetensors, tokenizer.json and what is beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from ...config import ModelConfig, RopeStyle
from ...errors import TemplateError, TokenizerError, WeightsError
from ...tokenizer.vocabulary import Vocabulary
from ...tokenizer.vocabulary.huggingface import read_huggingface_vocabulary
from ..layout import EMBEDDING, OUTPUT, check_tensors
from ..rope import Llama3Scaling
from ..tensor import Tensor, Weights
from .json_files import read_json
from .keys import Keys
from .safetensors import read_safetensors

CONFIG = "config.json"
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_DEFAULT_ROPE_THETA = 10000.0

_NAMES = {
    "model.embed_tokens.weight": EMBEDDING,
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": OUTPUT,
}
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
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.weight")
_INVERSE_FREQUENCIES = ".rotary_emb.inv_freq"
"""Buffers in files of old versions; they follow from the configuration."""


def load_huggingface(path: Path) -> Weights:
    """Map the weights of a directory, or of one *.safetensors file in it, and check that they are a Llama model.

    The rows of q and k stay in Hugging Face's order: the engine rotates the halves of a head.

    Raises:
        OSError: a file cannot be opened or mapped.
        WeightsError: a file is missing or damaged, the model is not a Llama, or its tensors do not fit config.json.
    """
    directory = path if path.is_dir() else path.parent
    keys = Keys(directory / CONFIG, read_json(directory / CONFIG))
    config = _read_config(keys, directory.resolve().name)
    tensors = {}
    for name, tensor in _read_tensors(path, directory).items():
        if not name.endswith(_INVERSE_FREQUENCIES):
            gguf_name = _gguf_name(name)
            tensors[gguf_name] = replace(tensor, name=gguf_name)
    if keys.flag("tie_word_embeddings", False):
        tensors.pop(OUTPUT, None)
    elif OUTPUT not in tensors:
        raise WeightsError(f"{path}: missing tensor 'lm_head.weight', although tie_word_embeddings is false")
    return Weights(
        path,
        config,
        check_tensors(path, config, tensors),
        load_vocabulary=partial(_load_vocabulary, directory, keys, config.vocab_size),
        load_template=partial(_load_template, directory),
    )


def _read_config(keys: Keys, name: str) -> ModelConfig:
    _refuse_variants(keys)
    dim = keys.size("hidden_size")
    heads, kv_heads = keys.heads("num_attention_heads", "num_key_value_heads")
    head_dim = keys.head_dim("head_dim", dim // heads)
    theta, factors = _read_rope(keys, head_dim)
    return ModelConfig(
        name=name,
        dim=dim,
        layers=keys.size("num_hidden_layers"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        hidden_dim=keys.size("intermediate_size"),
        vocab_size=keys.size("vocab_size"),
        context=keys.size("max_position_embeddings"),
        norm_eps=keys.positive("rms_norm_eps"),
        rope_theta=theta,
        rope_style=RopeStyle.HALF_SPLIT,
        rope_factors=factors,
    )


def _refuse_variants(keys: Keys) -> None:
    """Refuse what would load and then compute nonsense."""
    if keys.metadata.get("architectures") != ["LlamaForCausalLM"]:
        raise keys.error("architectures", "['LlamaForCausalLM']")
    for key, default in (
        ("model_type", "llama"),
        ("hidden_act", "silu"),
        ("attention_bias", False),
        ("mlp_bias", False),
        ("partial_rotary_factor", 1.0),
    ):
        if keys.metadata.get(key, default) != default:
            raise keys.error(key, repr(default))
    if "quantization_config" in keys.metadata:
        raise WeightsError(f"{keys.path}: quantization_config is set; only F32, F16 and BF16 weights are supported")


def _read_rope(keys: Keys, head_dim: int) -> tuple[float, tuple[float, ...] | None]:
    """Return theta and divisors of the angles; transformers 5 keeps in rope_parameters what was rope_scaling before."""
    key = "rope_parameters" if "rope_parameters" in keys.metadata else "rope_scaling"
    values = keys.metadata.get(key, {})
    if not isinstance(values, dict):
        raise keys.error(key, "an object")
    rope = Keys(keys.path, {name: value for name, value in values.items() if value is not None})
    theta = rope.positive("rope_theta", keys.positive("rope_theta", _DEFAULT_ROPE_THETA))
    type = rope.metadata.get("rope_type", rope.metadata.get("type", "default"))
    if rope.metadata.get("partial_rotary_factor", 1.0) != 1.0:
        raise rope.error("partial_rotary_factor", "1.0")
    if type == "default":
        return theta, None
    if type == "linear":
        return theta, (rope.positive("factor"),) * (head_dim // 2)
    if type == "llama3":
        scaling = Llama3Scaling(
            factor=rope.positive("factor"),
            low_freq_factor=rope.positive("low_freq_factor"),
            high_freq_factor=rope.positive("high_freq_factor"),
            original_context=rope.size("original_max_position_embeddings"),
        )
        if scaling.high_freq_factor <= scaling.low_freq_factor:
            raise rope.error("high_freq_factor", f"more than low_freq_factor, {scaling.low_freq_factor}")
        return theta, tuple(scaling.divisors(head_dim, theta).tolist())
    raise WeightsError(f"{keys.path}: {key} has type {type!r:.40}; supported: 'default', 'linear', 'llama3'")


def _read_tensors(path: Path, directory: Path) -> dict[str, Tensor]:
    """Read the file that was asked for, or all that the index names if there is one that knows it."""
    index = directory / _INDEX
    if index.exists():
        files = _read_index(index)
        if path.is_dir() or path.name in files.values():
            return _read_shards(directory, files)
    return read_safetensors(path if path.is_file() else directory / _SINGLE)


def _read_index(path: Path) -> dict[str, str]:
    """Return in which file each tensor is."""
    files = read_json(path).get("weight_map")
    if not isinstance(files, dict) or not files:
        raise WeightsError(f"{path}: weight_map is missing or not an object")
    for name, file in files.items():
        parts = PurePosixPath(file).parts if isinstance(file, str) else ()
        if not parts or parts[0] == "/" or ".." in parts or "\\" in file or "\0" in file or ":" in file:
            raise WeightsError(f"{path}: tensor {name!r:.80} is in {file!r:.80}; allowed: a file of this directory")
    return files


def _read_shards(directory: Path, files: Mapping[str, str]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in sorted(set(files.values())):
        path = directory / file
        if not path.is_file():
            raise WeightsError(f"{path}: no such file, but {_INDEX} names it")
        for name, tensor in read_safetensors(path).items():
            if files.get(name) != file:
                raise WeightsError(
                    f"{path}: has tensor {name!r:.80}; according to {_INDEX} it is in {files.get(name)!r:.80}"
                )
            tensors[name] = tensor
    for name, file in files.items():
        if name not in tensors:
            raise WeightsError(f"{directory / file}: missing tensor {name!r:.80}, which {_INDEX} expects there")
    return tensors


def _gguf_name(name: str) -> str:
    """Return GGUF's name of a tensor, or the name itself if it is not part of a Llama."""
    if name in _NAMES:
        return _NAMES[name]
    match = _LAYER.fullmatch(name)
    if match and match[2] in _LAYER_NAMES:
        return f"blk.{int(match[1])}.{_LAYER_NAMES[match[2]]}.weight"
    return name


def _load_vocabulary(directory: Path, keys: Keys, vocab_size: int) -> Vocabulary:
    """Read tokenizer.json, with what tokenizer_config.json, config.json and generation_config.json say about ids."""
    path = directory / "tokenizer.json"
    try:
        names = _read_optional(directory / "tokenizer_config.json")
        eos_ids = keys.metadata.get("eos_token_id")
        return read_huggingface_vocabulary(
            read_json(path),
            bos=names.get("bos_token", keys.metadata.get("bos_token_id")),
            eos=names.get("eos_token", eos_ids[0] if isinstance(eos_ids, list) and eos_ids else eos_ids),
            stop_ids=_read_optional(directory / "generation_config.json").get("eos_token_id", eos_ids),
            vocab_size=vocab_size,
        )
    except WeightsError as error:
        raise TokenizerError(str(error)) from error
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from error


def _load_template(directory: Path) -> str | None:
    """Return the template of chat_template.jinja, else the default one of tokenizer_config.json."""
    file = directory / "chat_template.jinja"
    try:
        if file.exists():
            return file.read_text(encoding="utf-8")
        template = _read_optional(directory / "tokenizer_config.json").get("chat_template")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{file}: {error}") from error
    except WeightsError as error:
        raise TemplateError(str(error)) from error
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    if template is not None and not isinstance(template, str):
        raise TemplateError(f"{directory / 'tokenizer_config.json'}: chat_template is not text")
    return template


def _read_optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
