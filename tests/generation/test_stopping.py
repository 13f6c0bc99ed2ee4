"""What ends a text and what changes its tokens: stop strings, loops, biases, penalties; and probabilities.

The witnesses are plain forms of each rule, written here. To add a case: stop strings, biases or penalties.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import IDS, START, script, write_scripted
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3 import Llama
from pyllama3.backends import Engine
from pyllama3.errors import OptionError
from pyllama3.generation.generation import Piece
from pyllama3.generation.sampling import SamplerOptions, TokenSampler
from pyllama3.generation.stopping import LoopDetector, StopFilter


@pytest.fixture(scope="module")
def scripted_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says "hello world", a llama and "the end", and stops."""
    ids = script("hello", " world", "🦙".encode(), " the", " ", "e", "n", "d", "<|eot_id|>")
    return write_scripted(tmp_path_factory.mktemp("scripted") / "m.gguf", ids)


@pytest.fixture
def llm(engine: Engine, scripted_path: Path) -> Llama:
    return Llama.load(scripted_path, backend=engine.name, threads=1)


def text(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def speak(llm: Llama, **options: Any) -> list[Piece]:
    return list(llm.generate([START], **{"temperature": 0, **options}))


# stop strings


def reference(text: str, stops: Sequence[str]) -> str:
    """Cut a text where the first stop string to be complete begins."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)]
    return text


@given(
    pieces=st.lists(st.text("ab", max_size=3), max_size=10),
    stops=st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
)
def test_a_text_ends_before_a_stop_string_however_it_is_cut(pieces: list[str], stops: list[str]) -> None:
    stop_filter = StopFilter(stops)
    shown = ""
    for piece in pieces:
        shown += stop_filter.feed(piece)
        assert "".join(pieces).startswith(shown)
        assert not any(stop in shown for stop in stops)
    assert shown + stop_filter.flush() == reference("".join(pieces), stops)
    assert stop_filter.stopped == any(stop in "".join(pieces) for stop in stops)


def test_only_what_may_begin_a_stop_string_is_held_back() -> None:
    stop_filter = StopFilter(["\n\nUser:"])
    assert [stop_filter.feed(piece) for piece in ("one\n", "two", "\n", "\nUse", "d", "\n")] == [
        "one",
        "\ntwo",
        "",
        "",
        "\n\nUsed",
        "",
    ]
    assert stop_filter.flush() == "\n"


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (" world", "hello"),
        ("lo w", "hel"),
        (["the end", "🦙"], "hello world"),
        ("nd", "hello world🦙 the e"),
        ("nothing of this kind", "hello world🦙 the end"),
        ("end of it", "hello world🦙 the end"),
    ],
)
def test_stop_strings(llm: Llama, stop: str | list[str], expected: str) -> None:
    pieces = speak(llm, stop=stop)
    assert text(pieces) == expected
    assert pieces[-1].stats.finish_reason == "stop"


def test_text_that_is_held_back_at_the_limit_is_shown(llm: Llama) -> None:
    pieces = speak(llm, stop="world!", max_tokens=2)
    assert text(pieces) == "hello world"
    assert pieces[-1].stats.finish_reason == "length"


def test_an_empty_stop_string_is_refused(llm: Llama) -> None:
    with pytest.raises(OptionError, match=r"^a stop string is empty"):
        llm.generate("x", stop=["a", ""])


# biases and penalties


def test_a_bias_forbids_or_forces_a_token_by_id_or_text(llm: Llama) -> None:
    assert speak(llm, max_tokens=1, logit_bias={"hello": float("-inf")})[0].id != IDS["hello"]
    assert speak(llm, max_tokens=1, logit_bias={IDS["x"]: 1000})[0].text == "x"
    assert speak(llm, max_tokens=1, logit_bias={"<|eot_id|>": 1000})[0].stats.finish_reason == "stop"


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        ({"hello world": 1}, "logit_bias of 'hello world': the text is 2 tokens, not one"),
        ({288: 1}, "logit_bias of 288: there is no such token; allowed: 0 to 287"),
        ({1: float("nan")}, "logit_bias of 1 is nan; allowed: -1e+15 to 1e+15, or -inf"),
    ],
)
def test_biases_that_are_refused(llm: Llama, bias: dict[int | str, float], message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        llm.generate("x", logit_bias=bias)


def test_penalties_are_those_of_openai(engine: Engine) -> None:
    """mu[j] - c[j] * frequency - (c[j] > 0) * presence, where c[j] counts what has been sampled."""
    rng = np.random.default_rng(1)
    sampler = TokenSampler(
        engine, 20, SamplerOptions(temperature=0, presence_penalty=0.5, frequency_penalty=0.25), {3: 1.5}
    )
    counts = np.zeros(20)
    for _ in range(100):
        logits = rng.normal(size=20).astype(np.float32)
        before = logits.copy()
        expected = logits - counts * 0.25 - (counts > 0) * 0.5
        expected[3] += 1.5
        id = sampler.sample(logits, [])
        assert id == int(np.argmax(expected))
        np.testing.assert_array_equal(logits, before)
        counts[id] += 1


def test_what_is_not_allowed_is_never_sampled(engine: Engine) -> None:
    sampler = TokenSampler(engine, 50, SamplerOptions(temperature=5, top_p=1, seed=1, repeat_penalty=1.5))
    allowed = np.zeros(50, np.bool_)
    allowed[[7, 20]] = True
    logits = np.full(50, 3, np.float32)
    assert {sampler.sample(logits, [7, 1, 2], allowed) for _ in range(40)} == {7, 20}


def test_the_same_tokens_on_every_engine(both_engines: tuple[Engine, Engine], tmp_path: Path) -> None:
    config = tiny_config()
    write_gguf(tmp_path / "m.gguf", config, random_tensors(config, 1))
    options: dict[str, Any] = {
        "temperature": 1,
        "seed": 3,
        "presence_penalty": 0.7,
        "frequency_penalty": 0.2,
        "logit_bias": {"e": -3, 5: 2},
        "max_tokens": 30,
    }
    models = [Llama.load(tmp_path / "m.gguf", backend=engine.name, precision="exact") for engine in both_engines]
    spoken = [[piece.id for piece in llm.generate([7], **options)] for llm in models]
    assert spoken[0] == spoken[1]


# probabilities


def test_top_logprobs_are_the_best_of_the_models(engine: Engine, tmp_path: Path) -> None:
    config = tiny_config()
    write_gguf(tmp_path / "m.gguf", config, random_tensors(config, 1))
    llm = Llama.load(tmp_path / "m.gguf", backend=engine.name, precision="exact")
    pieces = list(llm.generate([7], temperature=2, seed=1, max_tokens=5, top_logprobs=4, logit_bias={9: 3}))
    session = llm.session()
    ids = [7]
    for piece in pieces:
        logits = session.feed(ids).astype(np.float64)
        expected = logits - np.log(np.exp(logits).sum())
        best = np.argsort(-expected, kind="stable")[:4]
        assert [id for id, _ in piece.top_logprobs] == list(best)
        np.testing.assert_allclose([value for _, value in piece.top_logprobs], expected[best], atol=1e-4)
        assert piece.logprob == pytest.approx(expected[piece.id], abs=1e-4)
        ids = [piece.id]


def test_top_logprobs_are_at_most_the_vocabulary(llm: Llama) -> None:
    assert len(speak(llm, top_logprobs=288, max_tokens=1)[0].top_logprobs) == 288
    with pytest.raises(OptionError, match=r"^top_logprobs is 289; allowed: 0 to 288$"):
        llm.generate("x", top_logprobs=289)


# repetition


@pytest.mark.parametrize(("repeat_prompt", "answer"), [(True, "y"), (False, "xyz")])
def test_the_words_of_the_prompt_are_recent_or_not(
    engine: Engine, tmp_path: Path, repeat_prompt: bool, answer: str
) -> None:
    ids = script("x", "y", "z", "<|eot_id|>")
    llm = Llama.load(write_scripted(tmp_path / "m.gguf", ids), backend=engine.name, threads=1)
    options = {"temperature": 0, "repeat_penalty": 1e9, "repeat_prompt": repeat_prompt, "logit_bias": {"y": 0.1}}
    assert text(list(llm.generate([ord("x"), START], max_tokens=len(answer), **options))) == answer


# loops


def loop_ends_at(ids: Sequence[int]) -> int | None:
    """Return after how many tokens a text is in a loop, by comparing all its ends."""
    for end in range(1, len(ids) + 1):
        for period in range(1, 257):
            enough = max(2 * period, 96)
            if end >= period + enough and all(ids[n] == ids[n - period] for n in range(end - enough, end)):
                return end
    return None


@pytest.mark.parametrize(
    "ids",
    [
        [1, 2, 3, *[7] * 120],
        [*range(50), *[5, 6] * 60],
        [*range(300), *range(300), *range(300)],  # too long a period
        [*range(40), *range(100)] * 4,
        [*range(48)] * 2,  # a refrain
        [*[9] * 90, 8, *[9] * 90],
        [*range(256)] * 3,
        [*range(256)] * 2 + [*range(255)],
    ],
    ids=len,
)
def test_loops_are_found_where_they_are_long_enough(ids: list[int]) -> None:
    detector = LoopDetector()
    found = next((n for n, id in enumerate(ids, start=1) if detector.feed(id)), None)
    assert found == loop_ends_at(ids)


def test_a_text_that_repeats_its_end_is_ended(engine: Engine, tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "m.gguf", script("x", "y"), [ord("y"), ord("z"), ord("y")], context=300)
    llm = Llama.load(path, backend=engine.name, threads=1)
    pieces = speak(llm, stop_loops=True)
    assert text(pieces) == "x" + "yz" * 49
    assert pieces[-1].stats.finish_reason == "loop"
    assert speak(llm, max_tokens=200)[-1].stats.finish_reason == "length"
