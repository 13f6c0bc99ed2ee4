"""The model files that are measured, made when they are first asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pyllama3.analysis.bench.synthetic import SHAPES, synthetic_weights
from pyllama3.errors import OptionError
from pyllama3.files import cache_dir
from pyllama3.store.find import find_model
from pyllama3.tokenizer.vocabulary import BytePairs, Vocabulary
from pyllama3.tokenizer.vocabulary.pre_tokenizers import LLAMA3
from pyllama3.weights import Weights, load_weights
from pyllama3.weights.convert.convert import convert
from pyllama3.weights.convert.mixtures import MIXTURES

DEFAULTS = (
    *("smollm2:Q4_1", "smollm2:Q4_0", "smollm2:Q8_0", "smollm2:F16"),
    *("llama3.2-1b:Q4_0", "llama3.2-1b:Q4_K_M", "llama3.2-1b:Q8_0"),
)
"""SmolLM2 as it comes (Q4_1) and in other types, and random weights in the shape of Llama 3.2 1B."""
_ALIAS, _ALIAS_TYPE = "smollm2", "Q4_1"


def find_file(model: str) -> Path:
    """Return the GGUF file of a model: a path, smollm2:TYPE or SHAPE:TYPE.

    What is not there yet is made in the directory "benchmarks" of the model cache.

    Raises:
        PyLlama3Error: the model is unknown, or cannot be had.
    """
    if Path(model).exists():
        return Path(model)
    name, _, type = model.partition(":")
    if type not in MIXTURES or name not in (_ALIAS, *SHAPES):
        known = f"{_ALIAS}:TYPE, {', '.join(f'{shape}:TYPE' for shape in SHAPES)}; types: {', '.join(MIXTURES)}"
        raise OptionError(f"model '{model}' is unknown; allowed: a GGUF file, {known}")
    if (name, type) == (_ALIAS, _ALIAS_TYPE):
        return find_model(_ALIAS)
    target = cache_dir() / "benchmarks" / f"{name}-{type}.gguf"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        is_random = name in SHAPES
        weights = _with_vocabulary(synthetic_weights(name, type)) if is_random else load_weights(find_model(_ALIAS))
        convert(weights, target, MIXTURES[type])
    return target


def _with_vocabulary(weights: Weights) -> Weights:
    """Return random weights with a vocabulary that llama.cpp takes: the bytes, and numbers made of them by merges."""
    others = weights.config.vocab_size - 256
    vocabulary = Vocabulary(
        tokens=[*(bytes([byte]) for byte in range(256)), *(b"#%d" % number for number in range(others))],
        special={},
        user_defined={},
        algorithm=BytePairs(pre=LLAMA3),
        bos_id=0,
        eos_id=0,
        add_bos=False,
        stop_ids=frozenset([0]),
    )
    return replace(weights, load_vocabulary=lambda: vocabulary)
