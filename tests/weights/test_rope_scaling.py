"""RoPE scaling of every kind against the logits that llama.cpp computes.

To add a case: a variant in tests/support/rope_variants.py, and its logits by tests/data/make_llama_cpp_rope.py.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from gguf_files import write_llama
from paths import DATA
from rope_variants import IDS, VARIANTS, metadata

from pyllama3.backends import Engine
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.weights import load_weights
from pyllama3.weights.rope import YarnScaling

EXPECTED = json.loads((DATA / "llama_cpp_rope.json").read_text())["logits"]


def error(logits: np.ndarray, variant: str) -> float:
    expected = np.array(EXPECTED[variant])
    return float(((logits - expected) ** 2).sum() / (expected**2).sum())


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_are_those_of_llama_cpp(engine: Engine, tmp_path: Path, variant: str) -> None:
    weights = load_weights(write_llama(tmp_path / "m.gguf", metadata(variant)))
    model = EngineModel(engine, weights, threads=1, precision="exact")
    logits = Session(model, context=len(IDS)).feed(IDS)
    assert error(logits, variant) < 1e-10
    others = {other for other in VARIANTS if EXPECTED[other] != EXPECTED[variant]}
    assert min(error(logits, other) for other in others) > 1e-3


def test_yarn_keeps_fast_pairs_and_divides_slow_ones() -> None:
    yarn = YarnScaling(factor=4, original_context=8192)
    divisors = yarn.divisors(128, 500000)
    turns = 8192 * 500000 ** (-np.arange(64) / 64) / (2 * math.pi)
    np.testing.assert_array_equal(divisors[turns > 40], 1)
    np.testing.assert_array_equal(divisors[turns < 0.8], 4)
    assert (np.diff(divisors) >= 0).all()
    assert 1 < divisors[np.searchsorted(-turns, -6)] < 4
    assert yarn.magnitude == pytest.approx(1 + 0.1 * math.log(4))


def test_yarn_borders_can_be_chosen() -> None:
    usual = YarnScaling(factor=4, original_context=8192).divisors(128, 500000)
    wider = YarnScaling(factor=4, original_context=8192, beta_fast=64, beta_slow=0.5).divisors(128, 500000)
    assert (wider == 1).sum() < (usual == 1).sum()
    assert (wider == 4).sum() < (usual == 4).sum()
