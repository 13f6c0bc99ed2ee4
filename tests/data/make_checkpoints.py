"""Write checkpoints/: tiny random models as Hugging Face and Meta write them, with the logits that their code computes.

    pip install '.[witness]'
    python tests/data/make_checkpoints.py            # writes them
    python tests/data/make_checkpoints.py --check    # makes them elsewhere and compares

Those of Hugging Face are made, saved and run by `transformers`. Those of Meta are run by its own model code in the
package `llama-models`, whose layers for several GPUs are replaced by the plain ones of torch; saved are its tensors by
`torch.save`, for two shards cut along the axis that the class of its layer is parallel in. All logits are float32.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

OUTPUT = Path(__file__).with_name("checkpoints")
MAX_NMSE = 1e-10
GREEDY = 24
NORMAL_TOKENS = 300
PROMPT = "The text;\n\nin 1969 it's a naïve model"
CORPUS = [
    "The model reads the text and writes the next token of the text.",
    "A weight is a number, and a model is made of numbers, of layers and of heads.",
    "There is a new kind of text in the 1960s and 1970s: numbers, words, and the weights of them.",
]
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
TEMPLATE = (
    "{{- bos_token }}{%- for message in messages %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>"
    "\n\n' + message['content'] | trim + '<|eot_id|>' }}{%- endfor %}{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)

Forward = Callable[[list[int]], torch.Tensor]
"""Token ids to logits (ids, vocabulary)."""


def train_tokenizer() -> Tokenizer:
    """Return a byte-level BPE tokenizer of Llama 3's kind, without special tokens."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=NORMAL_TOKENS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def save_huggingface_tokenizer(directory: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and the chat template."""
    tokenizer = train_tokenizer()
    tokenizer.add_special_tokens(list(SPECIAL))
    bos = SPECIAL[0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token="<|eot_id|>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(directory)


def save_meta_tokenizer(directory: Path) -> None:
    """Write tokenizer.model, a line for each token."""
    tokenizer = train_tokenizer()
    bytes_of = {character: byte for byte, character in byte_characters().items()}
    lines = []
    for rank in range(NORMAL_TOKENS):
        token = bytes(bytes_of[character] for character in tokenizer.id_to_token(rank))
        lines.append(base64.b64encode(token).decode() + f" {rank}\n")
    (directory / "tokenizer.model").write_text("".join(lines))


def byte_characters() -> dict[int, str]:
    """Return the characters in which `tokenizers` spells bytes: GPT-2's alphabet."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


@torch.no_grad()
def randomize(model: nn.Module, seed: int, dtype: torch.dtype) -> None:
    """Fill the parameters with values of a type, so that attention is uneven and logits have a size of 1 to 10."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim == 1:
            values = 1 + 0.2 * values
        elif "embed" not in name:
            values *= 1.5 / parameter.shape[1] ** 0.5
        parameter.copy_(values.to(dtype))


@torch.no_grad()
def save_expected(directory: Path, forward: Forward) -> None:
    """Write the ids of the prompt, their logits and the greedy continuation."""
    prompt = [NORMAL_TOKENS, *train_tokenizer().encode(PROMPT).ids]  # begin_of_text comes after the normal tokens
    ids = list(prompt)
    for _ in range(GREEDY):
        ids.append(int(forward(ids)[-1].argmax()))
    np.savez(directory / "expected.npz", ids=prompt, logits=forward(prompt).numpy(), greedy=ids[len(prompt) :])
    (directory / "prompt.txt").write_text(PROMPT, encoding="utf-8")


def make_huggingface(directory: Path, *, seed: int, dtype: torch.dtype, shard_size: str, **options: Any) -> None:
    """Write a model of transformers."""
    config = LlamaConfig(
        vocab_size=NORMAL_TOKENS + len(SPECIAL),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        rms_norm_eps=1e-5,
        bos_token_id=NORMAL_TOKENS,
        eos_token_id=[NORMAL_TOKENS + 1, NORMAL_TOKENS + 4],
        attn_implementation="eager",
        **options,
    )
    model = LlamaForCausalLM(config).eval()
    randomize(model, seed, dtype)
    save_expected(directory, lambda ids: model(torch.tensor([ids])).logits[0])
    model.generation_config = GenerationConfig(eos_token_id=config.eos_token_id, bos_token_id=config.bos_token_id)
    model.to(dtype).save_pretrained(directory, max_shard_size=shard_size)
    save_huggingface_tokenizer(directory)


class ColumnParallel(nn.Linear):
    """Stands for a layer whose outputs are spread over GPUs."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True, **_: Any) -> None:
        super().__init__(inputs, outputs, bias)


class RowParallel(ColumnParallel):
    """Stands for a layer whose inputs are spread over GPUs."""


class VocabParallel(nn.Embedding):
    """Stands for an embedding whose rows are spread over GPUs."""

    def __init__(self, rows: int, columns: int, **_: Any) -> None:
        super().__init__(rows, columns)


def import_meta() -> tuple[Any, Any]:
    """Return Meta's `Transformer` and `ModelArgs`, which find the layers above where they look for fairscale."""
    modules = ["fairscale", "fairscale.nn", "fairscale.nn.model_parallel"]
    initialize = ModuleType("fairscale.nn.model_parallel.initialize")
    layers = ModuleType("fairscale.nn.model_parallel.layers")
    initialize.__dict__["get_model_parallel_world_size"] = lambda: 1
    layers.__dict__.update(
        ColumnParallelLinear=ColumnParallel, RowParallelLinear=RowParallel, VocabParallelEmbedding=VocabParallel
    )
    stand_ins = {name: ModuleType(name) for name in modules} | {m.__name__: m for m in (initialize, layers)}
    for name, module in stand_ins.items():
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    from llama_models.llama3.args import ModelArgs
    from llama_models.llama3.model import Transformer

    return Transformer, ModelArgs


def make_meta(directory: Path, *, seed: int, dtype: torch.dtype, shards: int, use_scaled_rope: bool) -> None:
    """Write a model in Meta's layout."""
    transformer, model_args = import_meta()
    params = {
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "n_kv_heads": 2,
        "vocab_size": NORMAL_TOKENS + 256,
        "ffn_dim_multiplier": 1.3,
        "multiple_of": 16,
        "norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "use_scaled_rope": use_scaled_rope,
    }
    model = transformer(model_args(**params, max_batch_size=1, max_seq_len=128)).eval()
    randomize(model, seed, dtype)
    save_expected(directory, lambda ids: model(torch.tensor([ids]), 0)[0].clone())
    axes = {}
    for name, module in model.named_modules():
        if isinstance(module, (ColumnParallel, VocabParallel)):
            axes[f"{name}.weight"] = 1 if isinstance(module, RowParallel) else 0
    for shard in range(shards):
        state = {}
        for name, tensor in model.state_dict().items():
            part = tensor.chunk(shards, axes[name])[shard] if name in axes else tensor
            state[name] = part.to(dtype).clone()
        torch.save(state, directory / f"consolidated.{shard:02}.pth")
    (directory / "params.json").write_text(json.dumps(params))
    save_meta_tokenizer(directory)


def llama3_rope(factor: float, original: int, theta: float) -> dict[str, Any]:
    """Return Llama 3.1's scaling for contexts so short that a prompt of 30 tokens shows it."""
    return {
        "rope_type": "llama3",
        "rope_theta": theta,
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": original,
    }


def make_all(directory: Path) -> None:
    """Write every checkpoint into its own directory."""
    makers: dict[str, Callable[[Path], None]] = {
        "huggingface-tied-bf16": lambda path: make_huggingface(
            path,
            seed=1,
            dtype=torch.bfloat16,
            shard_size="1GB",
            tie_word_embeddings=True,
            head_dim=16,
            rope_parameters=llama3_rope(8.0, 32, 500000.0),
        ),
        "huggingface-sharded-f32": lambda path: make_huggingface(
            path,
            seed=2,
            dtype=torch.float32,
            shard_size="60KB",
            tie_word_embeddings=False,
            rope_parameters=llama3_rope(32.0, 16, 10000.0),
        ),
        "meta-f16": lambda path: make_meta(path, seed=3, dtype=torch.float16, shards=1, use_scaled_rope=True),
        "meta-2-shards-bf16": lambda path: make_meta(
            path, seed=4, dtype=torch.bfloat16, shards=2, use_scaled_rope=False
        ),
    }
    for name, make in makers.items():
        path = directory / name
        path.mkdir(parents=True, exist_ok=True)
        make(path)


def check() -> None:
    """Make everything in a temporary directory, and exit with what differs from what is stored."""
    with tempfile.TemporaryDirectory() as directory:
        make_all(Path(directory))
        for stored in sorted(OUTPUT.iterdir()):
            made = Path(directory, stored.name)
            if {file.name for file in stored.iterdir()} != {file.name for file in made.iterdir()}:
                sys.exit(f"{stored}: other files than those that were made again")
            old, new = np.load(stored / "expected.npz"), np.load(made / "expected.npz")
            nmse = float(np.sum((old["logits"] - new["logits"]) ** 2) / np.sum(old["logits"] ** 2))
            same_tokens = all(np.array_equal(old[name], new[name]) for name in ("ids", "greedy"))
            changed = [file.name for file in stored.iterdir() if file.read_bytes() != (made / file.name).read_bytes()]
            print(f"{stored.name}: NMSE of the logits {nmse:.1e}; not the same bytes: {', '.join(changed) or 'none'}")
            if nmse > MAX_NMSE or not same_tokens:
                sys.exit(f"{stored}: other logits or tokens than those that were made again")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="compare with what is stored instead of writing it")
    if parser.parse_args().check:
        check()
    else:
        make_all(OUTPUT)
