"""Make variants.json: what `transformers` and llama.cpp make of models in all the forms that `variants.py` knows.

    pip install '.[witness]' llama-cpp-python
    PYTHONPATH=.:tests/support python tests/data/make_variants.py [COUNT]

Without COUNT, the file gets a pairwise product of all choices. With it, so many recipes drawn at random are compared
at once with what we make of them, and nothing is written; the exit code tells whether all were the same.
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import variants_gguf
import variants_hf
from variant_checks import IDS, MESSAGES, QUESTIONS, TEXTS, TOOLS, differences
from variants import Recipe, at_random, pairwise

TARGET = Path(__file__).with_name("variants.json")
_BEST = 3
"""How many of the largest logits are kept of each position."""


def main() -> None:
    """Write the file, or compare so many recipes."""
    if sys.argv[1:]:
        sys.exit(_compare(int(sys.argv[1])))
    cases = list(_cases((name, recipe) for name, questions in QUESTIONS.items() for recipe in pairwise(questions)))
    oracle = {name: version(name) for name in ("transformers", "tokenizers", "llama_cpp_python")}
    lines = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases)
    TARGET.write_text(f'{{"oracle":{json.dumps(oracle)},"cases":[\n{lines}\n]}}\n', "utf-8")


def _compare(count: int) -> int:
    failed = 0
    draws = ((name, at_random(questions, seed)) for seed in range(count) for name, questions in QUESTIONS.items())
    for case in _cases(draws):
        with tempfile.TemporaryDirectory() as folder:
            for difference in differences(case, Path(folder)):
                failed += 1
                print(case["form"], case["recipe"], difference)
    print(f"{count} recipes of each form; {failed} differences")
    return int(failed > 0)


def _cases(draws: Iterable[tuple[str, Recipe]]) -> Iterator[dict[str, Any]]:
    for form, recipe in draws:
        with tempfile.TemporaryDirectory() as folder:
            answer = _ask_transformers if form == "huggingface" else _ask_llama_cpp
            found = answer(Path(folder), recipe)
        if found is not None:
            yield {"form": form, "recipe": list(recipe.values()), **found}


def _best(logits: Any) -> list[list[Any]]:
    """Return the ids and values of the largest logits of some positions."""
    kept = []
    for row in (logits[1], logits[-1]):
        ids = np.argsort(-row)[:_BEST]
        kept.append([[int(id), round(float(row[id]), 4)] for id in ids])
    return kept


def _unless(usual: Any, value: Any) -> Any:
    """Return a value, or None if it is the usual one, which keeps the file small."""
    return None if value == usual else value


def _again(tokenizer: Any, text: str) -> str:
    decoded: str = tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids)
    return decoded


def _ask_transformers(folder: Path, recipe: Recipe) -> dict[str, Any] | None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = variants_hf.write_variant(folder / "v", recipe)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
    except ValueError:  # what they refuse may be ours to take
        return None
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    chats = []
    for tools in (None, TOOLS):
        try:
            chat = tokenizer.apply_chat_template(MESSAGES, tools=tools, add_generation_prompt=True, return_dict=False)
        except Exception:  # the template's, or that there is none
            chat = None
        chats.append(chat)
    with torch.no_grad():
        logits = model(torch.tensor([IDS])).logits[0].numpy()
    stops = model.generation_config.eos_token_id
    return {
        "ids": [tokenizer(text).input_ids for text in TEXTS],
        "texts": [_unless(text, _again(tokenizer, text)) for text in TEXTS],
        "chats": chats,
        "logits": _best(logits),
        "stops": sorted(stops if isinstance(stops, list) else [stops]),
    }


def _ask_llama_cpp(folder: Path, recipe: Recipe) -> dict[str, Any]:
    import llama_cpp

    llama_cpp.llama_log_set(_SILENCE, ctypes.c_void_p(0))
    path = variants_gguf.write_variant(folder / "m.gguf", recipe)
    model = llama_cpp.Llama(str(path), n_ctx=64, n_batch=64, n_ubatch=64, logits_all=True, verbose=False, n_threads=1)
    vocabulary = llama_cpp.llama_model_get_vocab(model.model)
    count = llama_cpp.llama_vocab_n_tokens(vocabulary)
    model.eval(IDS)
    ids, plain = (
        [model.tokenize(text.encode(), add_bos=True, special=special) for text in TEXTS] for special in (True, False)
    )
    result = {
        "ids": ids,
        "plain": list(map(_unless, ids, plain)),
        "logits": _best(np.array(model.scores[: len(IDS)])),
        "stops": [id for id in range(count) if llama_cpp.llama_vocab_is_eog(vocabulary, id)],
    }
    model.close()
    return result


_SILENCE = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda level, text, data: None)

if __name__ == "__main__":
    main()
