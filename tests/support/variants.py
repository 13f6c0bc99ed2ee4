"""Tiny models in all the forms that public ones come in: a recipe names a choice for each question, and is built here.

The witnesses (tests/data/make_variants.py) read what is built, and so do we. A new form is a new choice.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import combinations, product

Recipe = dict[str, str]

HUGGINGFACE: dict[str, Sequence[str]] = {
    "tokenizer": (
        *("llama3", "smollm", "qwen2", "gpt2", "digits", "extended", "normalized", "unigram"),
        *(
            "metaspace-first",
            "metaspace-always",
            "prepend",
            "llama-class",
            "llama-legacy",
            "sentencepiece",
            "sentencepiece-fast",
            "sentencepiece-unigram",
            "sentencepiece-unigram-class",
            "vocab-merges",
        ),
    ),
    "added": ("none", "user-defined", "strips", "single-word", "only-config", "decoder", "pad-beyond"),
    "output": ("tied", "untied", "tied-other", "tied-same"),
    "bias": ("none", "attention", "mlp", "both", "unasked"),
    "rope": ("default", "linear", "dynamic", "yarn", "yarn-mscale", "yarn-plain", "longrope", "llama3", "old-linear"),
    "heads": ("4x16/2", "4x16/4", "2x16/1", "2x24/2"),
    "files": ("single", "sharded", "stale-index", "single-and-index", "pickle", "pickle-shards", "base-names"),
    "type": ("F32", "F16", "BF16"),
    "silent": ("nothing", "defaults", "types"),
    "template": ("none", "default", "jinja-file", "named", "named-files", "generation", "thoughts"),
}
"""Questions about a Hugging Face directory."""

GGUF: dict[str, Sequence[str]] = {
    "tokenizer": (
        *(
            "llama-bpe",
            "smollm",
            "gpt-2",
            "qwen2",
            "tekken",
            "falcon",
            "default",
            "gpt-4o",
            "dbrx",
            "extended",
            "deepseek-v3",
        ),
        *("spm", "spm-no-scores", "spm-no-prefix", "deepseek-coder", "bloom"),
    ),
    "added": ("none", "end-control", "end-user", "end-normal", "user-defined", "foreign", "unused", "empty"),
    "output": ("tied", "untied"),
    "bias": ("none", "attention", "feed-forward", "all"),
    "rope": ("plain", "none", "linear", "linear-old", "factor-0", "yarn", "freqs"),
    "heads": ("4x16/2", "4x16/4", "2x32/1"),
    "silent": ("nothing", "kv-heads", "rope", "lengths", "bos"),
    "type": ("F32", "F16", "BF16"),
    "arrays": ("numbers", "per-layer"),
}
"""Questions about a GGUF file."""


def pairwise(questions: Mapping[str, Sequence[str]], seed: int = 0) -> list[Recipe]:
    """Return few recipes in which every two choices for two questions meet at least once."""
    rng = random.Random(seed)
    names = list(questions)
    open_pairs = {((a, x), (b, y)) for a, b in combinations(names, 2) for x, y in product(questions[a], questions[b])}
    recipes = []
    while open_pairs:
        (a, x), (b, y) = min(open_pairs)
        recipe = {a: x, b: y}
        for name in rng.sample(names, len(names)):
            if name not in recipe:
                options = rng.sample(list(questions[name]), len(questions[name]))
                recipe[name] = max(
                    options, key=lambda o: sum(_pair(p, (name, o), names) in open_pairs for p in recipe.items())
                )
        open_pairs -= {_pair(p, q, names) for p, q in combinations(recipe.items(), 2)}
        recipes.append({name: recipe[name] for name in names})
    return recipes


def at_random(questions: Mapping[str, Sequence[str]], seed: int) -> Recipe:
    """Return one recipe of all there are."""
    rng = random.Random(seed)
    return {name: rng.choice(choices) for name, choices in questions.items()}


def _pair(p: tuple[str, str], q: tuple[str, str], names: list[str]) -> tuple[tuple[str, str], tuple[str, str]]:
    return (p, q) if names.index(p[0]) < names.index(q[0]) else (q, p)
