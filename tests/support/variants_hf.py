"""Hugging Face directories by recipe, see `variants.HUGGINGFACE`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf_files import BYTE_TO_CHARACTER, MERGES
from pth_files import write_pth
from safetensors_files import write_safetensors
from variants import Recipe

SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", "<|start|>", "<|eot_id|>")
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
TOOL_TEMPLATE = "tools {{ tools | tojson }} {{ messages[-1].content }}{{ eos_token }}"
GENERATION = (
    "{% for m in messages %}<|start|>{% generation %}{{ m.content }}<|eot_id|>{% endgeneration %}{% endfor %}"
    "{{ pad_token }}{{ unk_token }}"
)
THOUGHTS = (
    "{% for m in messages %}<|start|>{% if '</think>' in m.content %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}{{ m.reasoning_content }}</think><|eot_id|>{% endfor %}"
)
_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_DIM, _HIDDEN, _LAYERS, _CONTEXT = 32, 48, 2, 128


def write_variant(directory: Path, recipe: Recipe) -> Path:
    """Write the directory of a recipe."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer, extra = _tokenizer(recipe)
    config, side_files = _added(recipe, tokenizer)
    files = _tokenizer_files(recipe, tokenizer) | side_files
    rows = 320
    config |= extra
    _template(recipe, directory, config, files)
    if recipe["silent"] == "types":
        config.pop("tokenizer_class", None)
    files["tokenizer_config.json"] = config
    files["config.json"] = _config(recipe, rows)
    files["generation_config.json"] = {"eos_token_id": [301, 303]}
    for name, content in files.items():
        path = directory / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    _write_weights(directory, recipe, rows)
    return directory


# the model


def _heads(recipe: Recipe) -> tuple[int, int, int]:
    heads, _, rest = recipe["heads"].partition("x")
    width, _, kv_heads = rest.partition("/")
    return int(heads), int(width), int(kv_heads)


def _config(recipe: Recipe, rows: int) -> dict[str, Any]:
    heads, width, kv_heads = _heads(recipe)
    config: dict[str, Any] = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": rows,
        "hidden_size": _DIM,
        "intermediate_size": _HIDDEN,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": width,
        "max_position_embeddings": _CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500.0,
        "tie_word_embeddings": recipe["output"] != "untied",
        "attention_bias": recipe["bias"] in ("attention", "both"),
        "mlp_bias": recipe["bias"] in ("mlp", "both"),
        "bos_token_id": 300,
        "eos_token_id": 301,
        "torch_dtype": _DTYPES[recipe["type"]],
    }
    pairs = width // 2
    scaling: dict[str, Any] | None = {
        "linear": {"rope_type": "linear", "factor": 2.5},
        "old-linear": {"type": "linear", "factor": 4.0},
        "dynamic": {"rope_type": "dynamic", "factor": 4.0},
        "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
        "yarn-mscale": {"rope_type": "yarn", "factor": 8.0, "mscale": 0.7, "mscale_all_dim": 0.4, "beta_fast": 8.0}
        | {"original_max_position_embeddings": 16, "beta_slow": 0.5},
        "yarn-plain": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.25, "truncate": False}
        | {"original_max_position_embeddings": 32},
        "longrope": {"rope_type": "longrope", "short_factor": [1 + n / 10 for n in range(pairs)], "factor": 2.0}
        | {"long_factor": [2.0 + n for n in range(pairs)], "original_max_position_embeddings": 64},
        "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        | {"original_max_position_embeddings": 64},
    }.get(recipe["rope"])
    if scaling is not None:
        key = "rope_scaling" if recipe["rope"] == "old-linear" or recipe["files"] == "single" else "rope_parameters"
        config[key] = scaling | ({"rope_theta": config.pop("rope_theta")} if key == "rope_parameters" else {})
    if recipe["silent"] == "defaults":
        config.pop("rope_theta", None)
        for key in ("rms_norm_eps", "architectures", "bos_token_id", "eos_token_id", "torch_dtype"):
            del config[key]
        if kv_heads == heads:
            del config["num_key_value_heads"]
        if heads * width == _DIM:
            del config["head_dim"]
    return config


def tensors_of(recipe: Recipe, rows: int) -> dict[str, npt.NDArray[Any]]:
    """Return random tensors under Hugging Face's names, rounded to the type of the recipe."""
    rng = np.random.default_rng(7)
    heads, width, kv_heads = _heads(recipe)
    shapes = {
        "self_attn.q_proj": (heads * width, _DIM),
        "self_attn.k_proj": (kv_heads * width, _DIM),
        "self_attn.v_proj": (kv_heads * width, _DIM),
        "self_attn.o_proj": (_DIM, heads * width),
        "mlp.gate_proj": (_HIDDEN, _DIM),
        "mlp.up_proj": (_HIDDEN, _DIM),
        "mlp.down_proj": (_DIM, _HIDDEN),
    }
    tensors = {"model.embed_tokens.weight": rng.normal(size=(rows, _DIM))}
    for layer in range(_LAYERS):
        prefix = f"model.layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{name}.weight"] = rng.normal(1, 0.2, _DIM)
        for name, shape in shapes.items():
            tensors[f"{prefix}{name}.weight"] = rng.normal(size=shape) * 1.4 / np.sqrt(shape[1])
            bias = rng.normal(size=shape[0]) * 0.5
            if recipe["bias"] in ("both", "unasked", "attention" if name.startswith("self") else "mlp"):
                tensors[f"{prefix}{name}.bias"] = bias
    tensors["model.norm.weight"] = rng.normal(1, 0.2, _DIM)
    head = rng.normal(size=(rows, _DIM))
    if recipe["output"] in ("untied", "tied-other"):
        tensors["lm_head.weight"] = head
    elif recipe["output"] == "tied-same":
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    return {name: _rounded(array, recipe["type"]) for name, array in tensors.items()}


def _rounded(array: npt.NDArray[Any], type: str) -> npt.NDArray[Any]:
    if type == "F16":
        return array.astype(np.float16)
    floats = array.astype(np.float32)
    return floats if type == "F32" else (floats.view(np.uint32) >> 16).astype(np.uint16)


def _write_weights(directory: Path, recipe: Recipe, rows: int) -> None:
    tensors = tensors_of(recipe, rows)
    kind = recipe["files"]
    if kind == "base-names":
        tensors = {name.removeprefix("model."): array for name, array in tensors.items()}
    if kind in ("pickle", "pickle-shards"):
        stem, end, write = "pytorch_model", "bin", write_pth
    else:
        stem, end, write = "model", "safetensors", write_safetensors
    if kind in ("single", "pickle", "single-and-index", "base-names"):
        write(directory / f"{stem}.{end}", tensors)
        if kind == "single-and-index":
            index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, "model-00001-of-00009.safetensors")}
            (directory / "model.safetensors.index.json").write_text(json.dumps(index))
        return
    names = list(tensors)
    weight_map = {}
    for number in range(2):
        file = f"{stem}-{number + 1:05}-of-00002.{end}"
        mine = names[number::2]
        write(directory / file, {name: tensors[name] for name in mine})
        weight_map |= dict.fromkeys(mine, file)
    if kind == "stale-index":
        weight_map = {name: file for name, file in weight_map.items() if "norm" not in name} | {
            "model.layers.9.x": next(iter(weight_map.values()))
        }
    (directory / f"{stem}.{end}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


# the tokenizer


def _byte_level(recipe: Recipe) -> dict[str, Any]:
    kind = recipe["tokenizer"]
    names = [BYTE_TO_CHARACTER[byte] for byte in range(256)] + [merge.replace(" ", "") for merge in MERGES]
    merges = [merge.split(" ") for merge in MERGES]
    if kind == "extended":
        names += ["nk", "in", "ink"]
        merges += [["n", "k"], ["i", "n"], ["in", "k"]]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}

    def split(pattern: str) -> dict[str, Any]:
        return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}

    steps = {
        "smollm": [{"type": "Digits", "individual_digits": True}, byte_level | {"use_regex": True}],
        "gpt2": [byte_level | {"use_regex": True}],
        "qwen2": [split(QWEN2), byte_level],
        "digits": [split("[\r\n]"), split(r"\s?\p{L}+"), {"type": "Digits", "individual_digits": False}, byte_level],
    }.get(kind, [split(LLAMA3), byte_level])
    return {
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": kind == "llama3",
            "merges": merges,
            "vocab": {name: id for id, name in enumerate(names)},
        },
        "normalizer": {"type": "NFC"} if kind == "normalized" else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    }


WORDS = ("\u2581t", "he", "\u2581the", "ll", "hell", "hello", "\u2581w", "or", "ld", "\u2581world", "th", "in")
PIECES = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581"]
PIECES += [chr(c) for c in range(97, 123)] + [*WORDS]


def _pieces(recipe: Recipe) -> dict[str, Any]:
    kind = recipe["tokenizer"]
    vocab = {name: id for id, name in enumerate(PIECES)}
    pairs = [
        (left, name[len(left) :], id)
        for name, id in vocab.items()
        if not name.startswith("<")
        for left in (name[:cut] for cut in range(1, len(name)))
        if left in vocab and name[len(left) :] in vocab
    ]
    merges = [[left, right] for left, right, _ in sorted(pairs, key=lambda pair: (pair[2], len(pair[0])))]
    scheme = {"metaspace-first": "first", "metaspace-always": "always"}.get(kind)
    prepend = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
        ],
    }
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": False}
    unigram = [[name, -float(id)] for name, id in vocab.items()]
    return {
        "model": {"type": "Unigram", "unk_id": 0, "vocab": unigram, "byte_fallback": True}
        if kind == "unigram"
        else {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges,
        },
        "normalizer": None if scheme else prepend,
        "pre_tokenizer": metaspace if scheme else None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
    }


_OF_PROTOCOL_BUFFERS = ("sentencepiece", "sentencepiece-fast", "sentencepiece-unigram", "sentencepiece-unigram-class")
_OF_PIECES = (
    *("unigram", "metaspace-first", "metaspace-always", "prepend", "llama-class", "llama-legacy"),
    *_OF_PROTOCOL_BUFFERS,
)


def _tokenizer(recipe: Recipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return tokenizer.json without added tokens, and more of tokenizer_config.json."""
    kind = recipe["tokenizer"]
    of_pieces = kind in _OF_PIECES
    tokenizer = {"version": "1.0", "truncation": None, "padding": None} | (
        _pieces(recipe) if of_pieces else _byte_level(recipe)
    )
    bos = "<s>" if of_pieces else SPECIAL[0]
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {bos: {"id": bos, "ids": [1 if of_pieces else 300], "tokens": [bos]}},
    }
    extra: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    if kind in ("llama-class", "llama-legacy", "sentencepiece", "sentencepiece-unigram-class"):
        extra["tokenizer_class"] = "LlamaTokenizer"
        extra["legacy"] = kind == "llama-legacy"
    if kind in ("llama-class", "llama-legacy", *_OF_PROTOCOL_BUFFERS):
        extra["add_bos_token"] = True
    if kind == "vocab-merges":
        extra["tokenizer_class"] = "GPT2Tokenizer"
    return tokenizer, extra


def _added(recipe: Recipe, tokenizer: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Add tokens to tokenizer.json; return tokenizer_config.json and further files."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    of_pieces = recipe["tokenizer"] in _OF_PIECES
    first = {"<unk>": 0, "<s>": 1, "</s>": 2} if of_pieces else {}
    names = first if of_pieces else {}
    names |= {name: 300 + n for n, name in enumerate(SPECIAL)}
    # the library numbers added tokens itself: fill the gap, as vocabularies are without holes
    vocab = tokenizer["model"]["vocab"]
    for id in range(len(vocab), 300):
        if isinstance(vocab, list):
            vocab.append([f"filler{id}", -1e4])
        else:
            vocab[f"filler{id}"] = id
    entries = [plain | {"content": name, "id": id} for name, id in names.items()]
    config: dict[str, Any] = {
        "bos_token": "<s>" if of_pieces else SPECIAL[0],
        "eos_token": "</s>" if of_pieces else SPECIAL[1],
    }
    files: dict[str, Any] = {}
    match recipe["added"]:
        case "user-defined":
            entries.append(plain | {"content": "</think>", "id": 304, "special": False})
            entries.append(plain | {"content": "hello w", "id": 305, "special": False})
        case "strips":
            entries.append(plain | {"content": "<l>", "id": 304, "lstrip": True})
            entries.append(plain | {"content": "<r>", "id": 305, "rstrip": True})
            entries.append(plain | {"content": "[b]", "id": 306, "rstrip": True, "lstrip": True, "special": False})
        case "single-word":
            entries.append(plain | {"content": "word", "id": 304, "single_word": True, "special": False})
        case "only-config":
            config["pad_token"] = "<pad>"
            config["additional_special_tokens"] = ["<l>", "</think>"]
        case "decoder":
            config["added_tokens_decoder"] = {
                str(entry["id"]): {k: v for k, v in entry.items() if k != "id"} for entry in entries
            }
            config["added_tokens_decoder"]["304"] = plain | {"content": "</think>", "rstrip": True}
        case "pad-beyond":
            entries += [plain | {"content": f"<r{id}>", "id": id} for id in range(304, 325)]
            config["pad_token"] = "<r324>"
    if recipe["added"] == "none" and not of_pieces:
        config["unk_token"] = "<|eot_id|>"
    tokenizer["added_tokens"] = entries
    return config, files


def _tokenizer_files(recipe: Recipe, tokenizer: dict[str, Any]) -> dict[str, Any]:
    match recipe["tokenizer"]:
        case "vocab-merges":
            model = tokenizer["model"]
            merges = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in model["merges"])
            added = {entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]}
            return {"vocab.json": model["vocab"], "merges.txt": merges, "added_tokens.json": added}
        case kind if kind in _OF_PROTOCOL_BUFFERS:
            added = {entry["content"]: entry["id"] for entry in tokenizer["added_tokens"] if entry["id"] >= 300}
            return {"tokenizer.model": sentencepiece_model("unigram" in kind), "added_tokens.json": added}
    return {"tokenizer.json": tokenizer}


def sentencepiece_model(is_unigram: bool = False, charsmap: bytes = b"") -> bytes:
    """Return PIECES as google/sentencepiece stores them, with a normalization of characters."""
    import struct

    def varint(value: int) -> bytes:
        data = b""
        while value > 127:
            data += bytes([value & 127 | 128])
            value >>= 7
        return data + bytes([value])

    def field(number: int, data: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(data)) + data

    def number(field: int, value: int) -> bytes:
        return varint(field << 3) + varint(value)

    def piece(id: int, name: str) -> bytes:
        type = 2 if id == 0 else 3 if id < 3 else 6 if name.startswith("<0x") else 1
        return field(1, name.encode()) + b"\x15" + struct.pack("<f", -float(id)) + number(3, type)

    names = [*PIECES, *(f"filler{id}" for id in range(len(PIECES), 300))]
    pieces = b"".join(field(1, piece(id, name)) for id, name in enumerate(names))
    trainer = number(3, 1 if is_unigram else 2) + number(35, 1) + number(40, 0) + number(41, 1) + number(42, 2)
    normalizer = field(1, b"identity") + field(2, charsmap) + number(3, 1) + number(4, 0) + number(5, 1)
    return pieces + field(2, trainer) + field(3, normalizer)


def _template(recipe: Recipe, directory: Path, config: dict[str, Any], files: dict[str, Any]) -> None:
    match recipe["template"]:
        case "default":
            config["chat_template"] = TEMPLATE
        case "jinja-file":
            files["chat_template.jinja"] = TEMPLATE
            config["chat_template"] = "stale"
        case "named":
            named = {"default": TEMPLATE, "tool_use": TOOL_TEMPLATE}
            config["chat_template"] = [{"name": name, "template": source} for name, source in named.items()]
        case "named-files":
            (directory / "additional_chat_templates").mkdir(exist_ok=True)
            files["chat_template.jinja"] = TEMPLATE
            files["additional_chat_templates/tool_use.jinja"] = TOOL_TEMPLATE
        case "generation":
            config["chat_template"] = GENERATION
        case "thoughts":
            config["chat_template"] = THOUGHTS
