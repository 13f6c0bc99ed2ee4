"""Perplexity against sums of the reference's probabilities, written down without the code under test.

To add a case: windows in the form (start, from, to), whose sum `expected_nlls` makes with the reference.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engines import built_engine
from paths import DATA
from tiny_models import dequantized, tiny_config, write_tiny

from pyllama3.analysis.perplexity import ReferencePredictor, SessionPredictor, Windows, measure
from pyllama3.analysis.reference import ReferenceModel
from pyllama3.backends import Engine
from pyllama3.errors import OptionError
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.tokenizer.tokenizer import Tokenizer
from pyllama3.weights import load_weights

PROSE = DATA / "prose.txt"
IDS = [int(id) for id in np.random.default_rng(5).integers(0, 288, 53)]
BOS = 269


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny.gguf", 6)


def expected_nlls(path: Path, windows: list[tuple[int, int, int]], length: int, bos: int | None) -> list[float]:
    """Return -log p of the tokens at the positions from..to of windows (start, from, to)."""
    model = ReferenceModel(tiny_config(), dequantized(path))
    nlls = []
    for start, first, last in windows:
        ids = IDS[start : start + length]
        if bos is not None:
            ids = [bos, *ids[1:]]
        logits = model.forward(ids, model.cache())
        for position in range(first, last + 1):
            p = np.exp(logits[position - 1]) / np.exp(logits[position - 1]).sum()
            nlls.append(-float(np.log(p[ids[position]])))
    return nlls


@pytest.mark.parametrize("bos", [None, BOS])
def test_the_second_half_of_each_window_is_predicted(engine: Engine, tiny: Path, bos: int | None) -> None:
    """Windows of 16 tokens: those at 9 to 15 are predicted by the logits at 8 to 14; 5 tokens are left over."""
    expected = expected_nlls(tiny, [(0, 9, 15), (16, 9, 15), (32, 9, 15)], 16, bos)
    session = Session(EngineModel(engine, load_weights(tiny), threads=1, precision="exact"), context=16)
    scores = list(measure(SessionPredictor(session), IDS, Windows.of(16), bos=bos))
    assert [(score.windows, score.tokens) for score in scores] == [(1, 7), (2, 14), (3, 21)]
    assert scores[0].nll == pytest.approx(np.mean(expected[:7]), rel=1e-5)
    assert scores[-1].nll == pytest.approx(np.mean(expected), rel=1e-5)
    assert scores[-1].perplexity == pytest.approx(np.exp(np.mean(expected)), rel=1e-5)
    assert scores[-1].error == pytest.approx(np.std(expected, ddof=1) / np.sqrt(21), rel=1e-4)


def test_strides(tiny: Path) -> None:
    """Windows of 16 tokens, 10 apart: 0, 10, 20, 30; one from 40 on would end behind the text."""
    expected = expected_nlls(tiny, [(0, 6, 15), (10, 6, 15), (20, 6, 15), (30, 6, 15)], 16, None)
    *_, score = measure(ReferencePredictor(load_weights(tiny)), IDS, Windows.of(16, 10))
    assert (score.windows, score.tokens) == (4, 40)
    assert score.nll == pytest.approx(np.mean(expected), rel=1e-9)


def test_a_stride_that_predicts_all_but_the_first(tiny: Path) -> None:
    session = Session(EngineModel(built_engine("python"), load_weights(tiny), threads=1, precision="exact"), context=16)
    scores = [
        next(measure(predict, IDS, Windows.of(16, 15)))
        for predict in (SessionPredictor(session), ReferencePredictor(load_weights(tiny)))
    ]
    assert scores[0].tokens == 15
    assert scores[0].nll == pytest.approx(scores[1].nll, rel=1e-5)


def test_divergence(tiny: Path) -> None:
    predict = ReferencePredictor(load_weights(tiny))
    *_, same = measure(predict, IDS, Windows.of(16), other=predict)
    assert (same.kl, same.max_kl, same.same_top) == (0, 0, 1)

    def flat(ids: object, first: int) -> np.ndarray:
        return np.zeros((15 - first, 288))

    *_, far = measure(predict, IDS, Windows.of(16), other=flat)
    logits = np.concatenate([predict(IDS[start : start + 16], 8) for start in (0, 16, 32)])
    log_q = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    divergences = (-np.log(288) - log_q).mean(axis=1)
    assert far.kl == pytest.approx(divergences.mean())
    assert far.max_kl == pytest.approx(divergences.max())
    assert far.same_top == np.mean(logits.argmax(axis=1) == 0)


@pytest.mark.parametrize("arguments", [(3,), (16, 0), (16, 16)])
def test_windows_are_checked(arguments: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="allowed"):
        Windows.of(*arguments)


def test_short_texts_are_refused(tiny: Path) -> None:
    with pytest.raises(OptionError, match="53 tokens, less than one window of 54"):
        next(measure(ReferencePredictor(load_weights(tiny)), IDS, Windows.of(54)))


def test_smollm2_agrees_with_the_reference(smollm2_path: Path) -> None:
    """Far within a tenth of a percent; one short window keeps the reference quick."""
    weights = load_weights(smollm2_path)
    ids = Tokenizer(weights.load_vocabulary()).encode_prompt(PROSE.read_text(encoding="utf-8"))[:48]
    exact = Session(EngineModel(built_engine("c"), weights, threads=2, precision="exact"), context=48)
    ours = next(measure(SessionPredictor(exact), ids, Windows.of(48)))
    truth = next(measure(ReferencePredictor(weights), ids, Windows.of(48)))
    assert ours.perplexity == pytest.approx(truth.perplexity, rel=1e-5)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "pyllama3", "perplexity", *map(str, arguments)]
    return subprocess.run(call, capture_output=True, text=True)


def test_the_command(tiny: Path) -> None:
    built_engine("python")
    result = command("-m", tiny, "-f", PROSE, "-c", 64, "--stride", 60, "--backend", "reference", "--kl-from", tiny)
    assert result.returncode == 0, result.stderr
    windows = result.stderr.count("window ")
    assert f"window {windows} of {windows}: perplexity " in result.stderr
    assert f"{60 * windows} tokens predicted in {windows} windows of 64" in result.stdout
    assert "KL divergence 0 nats, at most 0; the same most probable token for 100.0%" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-f", "nowhere.txt"], "nowhere.txt: No such file"),
        (["-f", PROSE, "-c", "2"], "a window has 2 tokens; allowed: 4 or more"),
        (["-f", PROSE, "--backend", "reference", "-c", "65"], "context is 65; allowed for this model: 1 to 64"),
    ],
)
def test_the_command_tells_what_is_wrong(tiny: Path, arguments: list[object], message: str) -> None:
    result = command("-m", tiny, *arguments)
    assert (result.returncode, "Traceback" in result.stderr) == (1, False)
    assert message in result.stderr
