"""Llama 3 models in Meta's directories: params.json, consolidated.NN.pth and tokenizer.model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...config import ModelConfig, RopeStyle
from ...errors import TokenizerError, WeightsError
from ...tokenizer.vocabulary import Vocabulary
from ...tokenizer.vocabulary.meta import read_tokenizer_model
from ..layout import EMBEDDING, OUTPUT, check_tensors
from ..rope import Llama3Scaling
from ..tensor import Tensor, Weights
from .json_files import read_json
from .keys import Keys
from .pth import read_pth

PARAMS = "params.json"
_SHARD = re.compile(r"consolidated\.(\d\d)\.pth")

_NAMES = {"tok_embeddings": EMBEDDING, "norm": "output_norm.weight", "output": OUTPUT}
_LAYER_NAMES = {
    "attention_norm": "attn_norm",
    "attention.wq": "attn_q",
    "attention.wk": "attn_k",
    "attention.wv": "attn_v",
    "attention.wo": "attn_output",
    "ffn_norm": "ffn_norm",
    "feed_forward.w1": "ffn_gate",
    "feed_forward.w2": "ffn_down",
    "feed_forward.w3": "ffn_up",
}
_LAYER = re.compile(r"layers\.(\d+)\.(.+)\.weight")
_FREQUENCIES = "rope.freqs"
"""A buffer in some files; it follows from the parameters."""
_ROW_PARALLEL = ("attn_output.weight", "ffn_down.weight")
"""Matrices whose columns are spread over the shards; of all other matrices it is the rows, of norms each has a copy
(meta-llama/llama-models, models/llama3/model.py: RowParallelLinear, ColumnParallelLinear, VocabParallelEmbedding)."""

_CONTEXT = 8192
_SCALED_CONTEXT = 131072
_FACTOR_32 = {(2048, 16), (3072, 28)}
"""Dimension and layers of Llama 3.2 1B and 3B. params.json does not have the factor, which is 8 for all others
(meta-llama/llama-models, issues 166 and 241; config.json of these models on Hugging Face)."""


def load_meta(path: Path) -> Weights:
    """Map the weights of a directory (or of the directory of a consolidated.NN.pth) and check that they are a Llama 3.

    Matrices spread over several shards are put together when their data is asked for, one at a time.

    Raises:
        OSError: a file cannot be opened or mapped.
        WeightsError: a file is missing or damaged, the model is not a Llama 3, or tensors do not fit params.json.
    """
    if path.is_file() and not _SHARD.fullmatch(path.name):
        raise WeightsError(f"{path}: only files named consolidated.00.pth and so on are supported")
    directory = path if path.is_dir() else path.parent
    keys = Keys(directory / PARAMS, read_json(directory / PARAMS))
    shards = [_renamed(read_pth(file)) for file in _find_shards(directory)]
    tensors = shards[0] if len(shards) == 1 else _merged(directory, shards)
    if EMBEDDING not in tensors:
        raise WeightsError(f"{directory}: missing tensor {EMBEDDING!r}")
    config = _read_config(keys, directory.resolve().name, len(tensors[EMBEDDING].shape) and tensors[EMBEDDING].shape[0])
    tensors = check_tensors(path, config, tensors)
    if OUTPUT in tensors and _share_memory(tensors[OUTPUT], tensors[EMBEDDING]):
        del tensors[OUTPUT]
    return Weights(path, config, tensors, load_vocabulary=partial(_load_vocabulary, directory, config.vocab_size))


def _find_shards(directory: Path) -> list[Path]:
    """Return the shards by number."""
    files = sorted(file for file in directory.iterdir() if _SHARD.fullmatch(file.name))
    expected = [f"consolidated.{n:02}.pth" for n in range(len(files))]
    if not files:
        raise WeightsError(f"{directory}: no consolidated.00.pth beside {PARAMS}")
    for file, name in zip(files, expected, strict=True):
        if file.name != name:
            raise WeightsError(f"{directory}: {name} is missing, but there is {files[-1].name}")
    return files


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under GGUF's names; what is not part of a Llama keeps its own."""
    renamed = {}
    for name, tensor in tensors.items():
        if name == _FREQUENCIES:
            continue
        match = _LAYER.fullmatch(name)
        gguf_name = _NAMES.get(name.removesuffix(".weight"), name)
        if match and match[2] in _LAYER_NAMES:
            gguf_name = f"blk.{int(match[1])}.{_LAYER_NAMES[match[2]]}.weight"
        renamed[gguf_name] = replace(tensor, name=gguf_name)
    return renamed


def _merged(directory: Path, shards: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    merged = {}
    for name, first in shards[0].items():
        parts = [shard[name] for shard in shards if name in shard]
        if len(parts) < len(shards) or any((p.type, p.shape) != (first.type, first.shape) for p in parts):
            raise WeightsError(f"{directory}: tensor {name!r:.80} is not in all shards with the same type and shape")
        merged[name] = first if len(first.shape) < 2 else _spread(name, parts)
    for shard in shards:
        for name in shard:
            if name not in merged:
                raise WeightsError(f"{directory}: tensor {name!r:.80} is not in all shards")
    return merged


def _spread(name: str, shards: Sequence[Tensor]) -> Tensor:
    """Return the matrix whose rows, or if it is row-parallel its columns, are those of its shards."""
    rows, columns = shards[0].shape[0], shards[0].shape[1:]
    by_columns = name.endswith(_ROW_PARALLEL)
    shape = (rows, len(shards) * columns[0], *columns[1:]) if by_columns else (len(shards) * rows, *columns)
    data = tuple(shard.shards[0] for shard in shards)
    return Tensor(name, shards[0].type, shape, data, is_split_by_columns=by_columns)


def _share_memory(a: Tensor, b: Tensor) -> bool:
    """Tell whether two tensors are one, as `read_pth` gives an output matrix that is tied to the embedding."""
    pairs = zip(a.shards, b.shards, strict=True)
    return a.type == b.type and all(x.ctypes.data == y.ctypes.data for x, y in pairs)


def _read_config(keys: Keys, name: str, rows: int) -> ModelConfig:
    """Read params.json; missing keys have the defaults of `ModelArgs` (models/llama3/args.py in llama-models)."""
    for key in ("quantization_args", "lora_args", "moe_args", "vision_chunk_size"):
        if keys.metadata.get(key, -1) != -1:
            raise keys.error(key, "nothing (only text models in F32, F16 or BF16 are supported)")
    dim = keys.size("dim")
    layers = keys.size("n_layers")
    heads, kv_heads = keys.heads("n_heads", "n_kv_heads")
    if dim % heads or dim // heads % 2:
        raise keys.error("n_heads", f"a divisor of the dimension {dim} which leaves an even head dimension")
    head_dim = dim // heads
    theta = keys.positive("rope_theta", 500000.0)
    is_scaled = keys.flag("use_scaled_rope", False)
    scaling = Llama3Scaling(factor=32.0 if (dim, layers) in _FACTOR_32 else 8.0)
    return ModelConfig(
        name=name,
        dim=dim,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        hidden_dim=hidden_dim(dim, keys.positive("ffn_dim_multiplier", 1.0), keys.size("multiple_of", 256)),
        vocab_size=rows if keys.metadata.get("vocab_size", -1) == -1 else keys.size("vocab_size"),
        context=_SCALED_CONTEXT if is_scaled else _CONTEXT,
        norm_eps=keys.positive("norm_eps", 1e-5),
        rope_theta=theta,
        rope_style=RopeStyle.INTERLEAVED,
        rope_factors=tuple(scaling.divisors(head_dim, theta).tolist()) if is_scaled else None,
    )


def hidden_dim(dim: int, multiplier: float, multiple_of: int) -> int:
    """Return the width of the feed-forward layers (`FeedForward` of models/llama3/model.py in llama-models)."""
    width = int(multiplier * int(2 * (4 * dim) / 3))
    return -(-width // multiple_of) * multiple_of


def _load_vocabulary(directory: Path, vocab_size: int) -> Vocabulary:
    """Read tokenizer.model; by the name of its directory a model is made for chats, and ends turns with a token."""
    path = directory / "tokenizer.model"
    vocabulary = read_tokenizer_model(path)
    if len(vocabulary.tokens) != vocab_size:
        raise TokenizerError(f"{path}: has {len(vocabulary.tokens)} tokens, the model has {vocab_size}")
    if "instruct" in directory.resolve().name.lower():
        return replace(vocabulary, eot_id=vocabulary.special["<|eot_id|>"])
    return vocabulary
