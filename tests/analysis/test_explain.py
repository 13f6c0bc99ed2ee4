"""Explanations against the engine's sampler, the reference, and a browser.

To add a case: options in `test_choices_are_those_of_the_sampler`; what the page shows is counted in a headless
Chromium.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import browser
import numpy as np
import pytest
import reference_sampler
from engines import built_engine
from tiny_models import dequantized, tiny_config, write_tiny

from pyllama3.analysis.explain.choices import explain_choice
from pyllama3.analysis.explain.explanation import Explanation, explain
from pyllama3.analysis.explain.insight import look_inside
from pyllama3.analysis.pages.explain import write_page
from pyllama3.analysis.reference import Record, ReferenceModel, softmax
from pyllama3.backends import Engine
from pyllama3.errors import ContextError, OptionError
from pyllama3.generation.sampling import SamplerOptions, TokenSampler
from pyllama3.model import Llama
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.trace import Trace
from pyllama3.weights import load_weights

VOCAB_SIZE = 300
IDS = [269, 7, 104, 0, 287, 7, 33]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("explain") / "tiny.gguf", 6)


# choices


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1.0, "top_p": 1.0},
        {"temperature": 0.6},
        {"temperature": 1.5, "top_k": 40, "top_p": 0.8},
        {"temperature": 2.0, "top_k": 7, "min_p": 0.2, "top_p": 1.0},
        {"temperature": 0.8, "min_p": 0.05, "repeat_penalty": 1.3, "repeat_last_n": 3},
        {"temperature": 0.0, "repeat_penalty": 1.1},
    ],
)
def test_choices_are_those_of_the_sampler(engine: Engine, options: dict[str, float]) -> None:
    """Over many draws, with the survivors and probabilities that the witness has."""
    settings = SamplerOptions(**options, seed=11)  # type: ignore[arg-type]
    sampler = TokenSampler(engine, VOCAB_SIZE, settings)
    numbers = reference_sampler.Xorshift128.seeded(11)
    rng = np.random.default_rng(3)
    recent: list[int] = [1, 2, 2, 3]
    for _ in range(40):
        logits = rng.normal(0, 3, VOCAB_SIZE).astype(np.float32)
        window = recent[-settings.repeat_last_n :]
        random = numbers.uniform() if settings.temperature else None
        choice = explain_choice(logits, logits, window, settings, random)
        assert choice.id == sampler.sample(logits, recent)
        recent.append(choice.id)
        assert choice.steps[0].survivors == VOCAB_SIZE
        best = choice.steps[0].best[0]
        assert (best.id, best.probability) == (logits.argmax(), pytest.approx(softmax(logits.astype(float)).max()))
        if random is None:
            continue
        assert choice.begin <= random < choice.end
        expected = reference_sampler.distribution(
            logits.astype(float),
            temperature=settings.temperature,
            k=settings.top_k,
            p=settings.top_p,
            minimum=settings.min_p,
            penalty=settings.repeat_penalty,
            window=window,
        )
        last = choice.steps[-1]
        assert last.survivors == np.count_nonzero(expected)
        for candidate in last.best:
            assert candidate.probability == pytest.approx(expected[candidate.id], rel=1e-5)
        assert choice.end - choice.begin == pytest.approx(expected[choice.id], rel=1e-5)


def test_steps_are_named_after_the_options() -> None:
    options = SamplerOptions(temperature=0.5, top_k=9, top_p=0.95, min_p=0.01, repeat_penalty=2.0)
    logits = np.linspace(1, 2, 20, dtype=np.float32)
    choice = explain_choice(logits, logits, [19], options, 0.0)
    assert [(step.name, step.survivors) for step in choice.steps] == [
        ("the model", 20),
        ("penalties", 20),
        ("temperature 0.5", 20),
        ("top-k 9", 9),
        ("top-p 0.95", 9),
        ("min-p 0.01", 9),
    ]
    assert (choice.id, choice.begin) == (18, 0)


# what the layers compute


def test_insight_is_what_the_reference_computes(engine: Engine, tiny: Path) -> None:
    insight = look_inside(Trace(EngineModel(engine, load_weights(tiny), threads=1, precision="exact"), IDS, context=7))
    model, record = ReferenceModel(tiny_config(), dequantized(tiny)), Record()
    logits = model.forward(IDS, model.cache(), record)
    before = record["token_embd"]
    for layer in range(2):
        found = {name: record[f"blk.{layer}.{name}"] for name in ("probabilities", "attn_residual", "ffn_residual")}
        np.testing.assert_allclose(insight.attention[layer], found["probabilities"].transpose(1, 0, 2), atol=1e-6)
        branches = {"attention": (before, "attn_output"), "feed-forward": (found["attn_residual"], "down")}
        for name, (stream, update) in branches.items():
            added = record[f"blk.{layer}.{update}"]
            np.testing.assert_allclose(insight.streams[name][layer], np.linalg.norm(stream, axis=1), rtol=1e-5)
            np.testing.assert_allclose(insight.added[name][layer], np.linalg.norm(added, axis=1), rtol=1e-5)
        before = found["ffn_residual"]
        check_predictions(insight.predictions[layer + 1], model.head(before))
    check_predictions(insight.predictions[0], model.head(record["token_embd"]))
    check_predictions(insight.predictions[-1], logits)


def check_predictions(found: list[list[tuple[int, float]]], logits: np.ndarray) -> None:
    for best, row in zip(found, logits, strict=True):
        ids, probabilities = zip(*best, strict=True)
        assert list(ids) == np.argsort(-row)[:5].tolist()
        np.testing.assert_allclose(probabilities, softmax(row)[list(ids)], rtol=1e-4)


# explanations


def explained(path: Path, *, backend: str = "python", max_tokens: int = 3, **options: float) -> Explanation:
    built_engine(backend)
    with Llama.load(path, backend=backend, threads=1) as llm:
        return explain(llm, IDS, max_tokens=max_tokens, options=SamplerOptions(**options))  # type: ignore[arg-type]


def test_tokens_are_those_that_are_generated(engine: Engine, tiny: Path) -> None:
    options = {"temperature": 1.2, "seed": 5, "repeat_penalty": 1.2, "repeat_last_n": 4, "presence_penalty": 0.5}
    explanation = explained(tiny, backend=engine.name, max_tokens=12, **options)
    with Llama.load(tiny, backend=engine.name, threads=1) as llm:
        expected = [piece.id for piece in llm.generate(IDS, max_tokens=12, **options)]
    assert explanation.ids == IDS + expected
    assert [choice.id for choice in explanation.choices] == expected
    assert len(explanation.insight.predictions[0]) == len(explanation.ids) - 1


def test_a_seed_is_chosen_and_noted(tiny: Path) -> None:
    seeds = {explained(tiny, max_tokens=1).options.seed for _ in range(2)}
    assert len(seeds - {None}) == 2


def test_limits(tiny: Path) -> None:
    with pytest.raises(OptionError, match="max_tokens is 0"):
        explained(tiny, max_tokens=0)
    with pytest.raises(ContextError, match="7 prompt tokens and 58 more are too many to explain; allowed: 64"):
        explained(tiny, max_tokens=58)


# the page


@pytest.fixture(scope="module")
def page(tiny: Path) -> Path:
    path = tiny.with_name("page.html")
    built_engine("python")
    with Llama.load(tiny, backend="python", threads=1) as llm:
        explanation = explain(llm, IDS, max_tokens=4, options=SamplerOptions(temperature=1.5, seed=8))
        write_page(path, explanation, llm)
    return path


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(page: Path, tmp_path: Path, width: int) -> None:
    shown = browser.show(page, tmp_path, width=width)
    assert shown.console == []
    assert shown.overflow <= 0
    assert shown.count("tokens", "button") == 11
    assert shown.count("lens", "tr") == 3
    assert shown.count("lens", "td") == 15
    assert shown.count("added", "tr") == 2
    assert shown.count("looks", "span") == len(IDS)
    assert shown.dom.count('class="card"') == 4
    assert shown.dom.count('class="needle"') == 4


def test_the_page_needs_no_network(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "http:" not in text
    assert "https:" not in text
    assert "<link" not in text.replace('<link rel="icon" href="data:,">', "")


def test_complaints_of_the_browser_are_noticed(page: Path, tmp_path: Path) -> None:
    """A request to somewhere, an error of a script, and a page that is too wide."""
    broken = tmp_path / "broken.html"
    planted = (
        "<img src='http://127.0.0.1:9/x.png'><script>planted()</script><p style='width: 2000px; max-width: none'>x"
    )
    broken.write_text(page.read_text(encoding="utf-8") + planted, encoding="utf-8")
    shown = browser.show(broken, tmp_path, width=390)
    console = "\n".join(shown.console)
    assert "planted is not defined" in console
    assert "x.png" in console
    assert shown.overflow > 0


def test_text_of_tokens_is_no_markup(page: Path) -> None:
    """The vocabulary has the byte '<', and special tokens are written with it."""
    assert "<|begin_of_text|>" not in page.read_text(encoding="utf-8")
    assert "&lt;|begin_of_text|&gt;" in page.read_text(encoding="utf-8")


def test_the_command(tiny: Path, tmp_path: Path) -> None:
    built_engine("python")
    call = [sys.executable, "-m", "pyllama3", "explain", "-m", str(tiny), "hello world", "-n", "2", "-s", "1"]
    call += ["--raw", "-o", str(tmp_path / "x.html")]
    result = subprocess.run(call, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]
    refused = subprocess.run([*call, "--system", "x"], capture_output=True, text=True)
    assert (refused.returncode, "--system needs" in refused.stderr) == (2, True)
