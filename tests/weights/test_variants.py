"""Models in all the forms that public ones come in give what the authorities make of them.

tests/data/make_variants.py is the witness: `transformers` for Hugging Face directories, llama.cpp for GGUF files. A new
form is a new choice in tests/support/variants.py, after which the witness writes its answers again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paths import DATA
from variant_checks import IDS, QUESTIONS, differences, open_variant, recipe_of, reference_logits
from variants import pairwise

from pyllama3 import Llama
from pyllama3.errors import TokenizerError
from pyllama3.weights import load_weights
from pyllama3.weights.convert.convert import convert
from pyllama3.weights.convert.mixtures import MIXTURES

CASES: list[dict[str, Any]] = json.loads((DATA / "variants.json").read_text("utf-8"))["cases"]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_variants_give_what_their_authority_gives(tmp_path: Path, number: int) -> None:
    assert list(differences(CASES[number], tmp_path)) == []


def test_every_two_choices_meet() -> None:
    for form, questions in QUESTIONS.items():
        stored = [recipe_of(case) for case in CASES if case["form"] == form]
        asked = pairwise(questions)
        assert all(recipe in asked for recipe in stored)
        for question, choices in questions.items():
            assert {recipe[question] for recipe in stored} == set(choices)


@pytest.mark.parametrize("number", range(0, len(CASES), 4))
def test_the_engine_computes_what_the_reference_does(tmp_path: Path, number: int) -> None:
    weights = open_variant(CASES[number], tmp_path)
    with Llama.load(weights.path, precision="exact", context=len(IDS)) as llm:
        logits = llm.session().feed(IDS, all_logits=True)
    expected = reference_logits(weights)
    np.testing.assert_allclose(logits, expected, atol=2e-4 * np.abs(expected).max())


BIASED = [n for n, case in enumerate(CASES) if case["form"] == "huggingface" and recipe_of(case)["bias"] == "both"]
"""Every one of these has another RoPE, or other added tokens."""


@pytest.mark.parametrize("number", BIASED[::3])
def test_a_converted_variant_gives_the_same(tmp_path: Path, number: int) -> None:
    weights = open_variant(CASES[number], tmp_path)
    try:
        convert(weights, tmp_path / "c.gguf", MIXTURES["F32"])
    except TokenizerError:
        pytest.skip("GGUF has no name for the tokenizer")
    converted = load_weights(tmp_path / "c.gguf")
    np.testing.assert_allclose(reference_logits(converted), reference_logits(weights), rtol=1e-4, atol=1e-4)
    rows = weights.config.vocab_size
    assert list(converted.load_vocabulary().tokens) == list(weights.load_vocabulary().tokens)[:rows]
