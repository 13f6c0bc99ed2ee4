"""What is compared of a variant: tokens, texts, chats, logits and stops, ours and those of a witness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import variants_gguf
import variants_hf
from variants import GGUF, HUGGINGFACE, Recipe

from pyllama3.analysis.reference import ReferenceModel
from pyllama3.errors import TemplateError
from pyllama3.tokenizer.chat_template import encode_chat, find_template
from pyllama3.tokenizer.tokenizer import Tokenizer
from pyllama3.weights import Weights, load_weights

TEXTS = (
    "hello world",
    "the think  in ink\n\nx 12345",
    "a<|eot_id|>b</think>c <l> d <r>  e",
    "word words word-word hello w 's 'S",
    "\u6f22\u5b57 na\u00efve e\u0301 \U0001f642 [b]  ",
    "  lead a b c ($12)=<> I'LL",
    "<s>x</s>\t\r\n <|im_end|>",
)
MESSAGES = (
    {"role": "user", "content": "hello  world \n"},
    {"role": "assistant", "content": "<think>x yes", "reasoning_content": "hm"},
    {"role": "user", "content": "in ink"},
)
TOOLS = ({"type": "function", "function": {"name": "f"}},)
QUESTIONS = {"huggingface": HUGGINGFACE, "gguf": GGUF}
IDS = [5, 9, 44, 104, 2, 7] * 6
_TOLERANCES = {"huggingface": 1e-3, "gguf": 0.25}
"""How far logits of up to 30 may differ: llama.cpp keeps keys and values in half precision, and rounds what it
multiplies with halves."""


def recipe_of(case: Mapping[str, Any]) -> Recipe:
    """Return the choices of a case, of which the file has but the answers."""
    return dict(zip(QUESTIONS[case["form"]], case["recipe"], strict=True))


def open_variant(case: Mapping[str, Any], folder: Path) -> Weights:
    """Build the model of a case, and load it."""
    if case["form"] == "huggingface":
        return load_weights(variants_hf.write_variant(folder / "v", recipe_of(case)))
    return load_weights(variants_gguf.write_variant(folder / "m.gguf", recipe_of(case)))


def differences(case: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yield what is not the same."""
    weights = open_variant(case, folder)
    vocabulary = weights.load_vocabulary()
    tokenizer = Tokenizer(vocabulary)
    bos = tokenizer.bos_id
    for special, name in ((True, "ids"), (False, "plain")):
        for text, usual, answer in zip(TEXTS, case["ids"], case.get(name, [[]] * len(TEXTS)), strict=True):
            if name not in case:
                continue
            theirs = usual if answer is None else answer
            ours = tokenizer.encode_prompt(text, special=special)
            one_bos = theirs[1:] if theirs[:2] == [bos, bos] else theirs  # we put none before one
            if ours != one_bos:
                yield f"{name} of {text!r}: {ours}, not {theirs}"
    for text, theirs in zip(TEXTS, case.get("texts", ()), strict="texts" in case):
        ours = tokenizer.decode(tokenizer.encode(text, special=True))
        if ours != (text if theirs is None else theirs):
            yield f"text of {text!r}: {ours!r}, not {theirs!r}"
    for tools, theirs in zip((None, TOOLS), case.get("chats", ()), strict="chats" in case):
        ours = _chat(weights, tokenizer, tools)
        # a template may leave the BOS to the tokenizer, which `transformers` then does not ask
        if ours != theirs and not (theirs is not None and ours == [bos, *theirs]):
            yield f"chat with tools {tools}: {ours}, not {theirs}"
    theirs = set(case["stops"])
    if not (theirs <= vocabulary.stop_ids if case["form"] == "huggingface" else theirs == vocabulary.stop_ids):
        yield f"stops: {sorted(vocabulary.stop_ids)}, not {case['stops']}"
    logits = reference_logits(weights)
    for row, best in zip((logits[1], logits[-1]), case["logits"], strict=True):
        for id, value in best:
            if abs(row[id] - value) > _TOLERANCES[case["form"]]:
                yield f"logit of {id}: {row[id]}, not {value}"


def reference_logits(weights: Weights) -> Any:
    """Return the logits of IDS by the numpy reference."""
    tensors = {name: tensor.dequantize().astype(np.float64) for name, tensor in weights.tensors.items()}
    reference = ReferenceModel(weights.config.for_context(len(IDS)), tensors)
    return reference.forward(IDS, reference.cache())


def _chat(weights: Weights, tokenizer: Tokenizer, tools: Any) -> list[int] | None:
    template = find_template(weights.load_templates(), weights.load_vocabulary())
    try:
        return None if template is None else encode_chat(tokenizer, template, MESSAGES, tools=tools)
    except TemplateError:
        return None
