"""Write smollm2_embeddings.json: texts, their tokens, and pooled hidden states of Hugging Face transformers in float32.

pip install '.[witness]'
python tests/data/make_smollm2_embeddings.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from make_smollm2_greedy import load, text_of
from transformers import LlamaForCausalLM

from pyllama3.store.find import find_model

OUTPUT = Path(__file__).with_name("smollm2_embeddings.json")
# Ids of the model's own tokenizer.
TEXTS = [
    [504, 3575, 282, 4649, 314],
    [6403, 1980, 253, 655],
    [788, 216, 33, 41, 38, 41, 28, 260, 808, 2973],
]


@torch.no_grad()
def pooled(model: LlamaForCausalLM, tokens: list[str], ids: list[int]) -> dict[str, Any]:
    """Return the mean and the last of the hidden states behind the last norm, both of length 1."""
    states = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    vectors = {"mean": states.mean(dim=0), "last": states[-1]}
    named = {name: [round(float(x), 6) for x in vector / vector.norm()] for name, vector in vectors.items()}
    return {"ids": ids, "text": text_of(ids, tokens), **named}


def main() -> None:
    """Compute every text and write them."""
    model, tokens = load(find_model("smollm2"))
    data = {"oracle": f"transformers {version('transformers')}", "texts": [pooled(model, tokens, ids) for ids in TEXTS]}
    OUTPUT.write_text(json.dumps(data, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
