"""A real model, SmolLM2, against Hugging Face transformers in float32 (tests/data/README.md).

To add a case: a prompt in tests/data/make_smollm2_greedy.py, which writes the tokens and logits of transformers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import built_engine
from paths import DATA

from pyllama3.backends import Engine
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.weights import load_weights

ORACLE = DATA / "smollm2_greedy.json"
CASES = range(3)

EXACT = 0.0002
"""Largest error of a logit in single precision: the file has 4 digits behind the point, and 0.00005 was seen."""
FAST = 1.0
"""Largest error of a logit with 8-bit activations and a half-precision cache: 0.5 was seen, of 18 to 30."""


def case(index: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ORACLE.read_text(encoding="utf-8"))["cases"][index]
    return found


def load(engine: Engine, path: Path, *, exact: bool) -> EngineModel:
    return EngineModel(engine, load_weights(path), threads=2, exact=exact)


@pytest.fixture(scope="module")
def exact_c(smollm2_path: Path) -> EngineModel:
    return load(built_engine("c"), smollm2_path, exact=True)


@pytest.fixture(scope="module")
def fast_c(smollm2_path: Path) -> EngineModel:
    return load(built_engine("c"), smollm2_path, exact=False)


@pytest.mark.parametrize("index", CASES)
def test_the_c_engine_gives_the_logits_of_the_oracle(exact_c: EngineModel, index: int) -> None:
    expected = case(index)
    logits = Session(exact_c, context=64).feed(expected["prompt_ids"])
    ids, values = zip(*expected["first_top10"], strict=True)
    assert np.argsort(-logits, kind="stable")[:10].tolist() == list(ids)
    np.testing.assert_allclose(logits[list(ids)], values, rtol=0, atol=EXACT)
    assert np.std(logits) == pytest.approx(expected["first_std"], abs=EXACT)


@pytest.mark.parametrize("index", CASES)
def test_the_c_engine_gives_the_tokens_of_the_oracle(exact_c: EngineModel, index: int) -> None:
    expected = case(index)
    assert greedy(exact_c, expected["prompt_ids"], len(expected["greedy"])) == expected["greedy"]


@pytest.mark.parametrize("index", CASES)
def test_8_bit_activations_stay_near_the_oracle(fast_c: EngineModel, index: int) -> None:
    expected = case(index)
    logits = Session(fast_c, context=64).feed(expected["prompt_ids"])
    ids, values = zip(*expected["first_top10"], strict=True)
    np.testing.assert_allclose(logits[list(ids)], values, rtol=0, atol=FAST)
    assert greedy(fast_c, expected["prompt_ids"], 16) == expected["greedy"][:16]


def greedy(model: EngineModel, prompt: list[int], count: int) -> list[int]:
    """Return the most probable continuation."""
    session, ids = Session(model, context=128), prompt
    tokens = []
    for _ in range(count):
        ids = [int(np.argmax(session.feed(ids)))]
        tokens += ids
    return tokens


def test_the_python_engine_gives_the_logits_of_the_c_engine(exact_c: EngineModel, smollm2_path: Path) -> None:
    """One pass over two tokens, which takes the interpreter half a minute."""
    python = load(built_engine("python"), smollm2_path, exact=True)
    prompt = case(0)["prompt_ids"][:2]
    logits = Session(python, context=2).feed(prompt)
    expected = Session(exact_c, context=2).feed(prompt)
    assert np.argmax(logits) == np.argmax(expected)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=EXACT)
