"""The generation loop, with models that say what a script tells them.

To add a case: a script for `write_scripted`, and the pieces that it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import load_tiny
from scripted import END, IDS, START, script, write_scripted
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3.backends import Engine
from pyllama3.errors import ContextError, OptionError
from pyllama3.generation.loop import Piece, SamplerOptions, generate
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.tokenizer.tokenizer import Tokenizer
from pyllama3.weights import load_weights

LLAMA, SUN = "🦙".encode(), "日".encode()

Speak = Callable[..., list[Piece]]


class Speaker:
    """A scripted model with a session."""

    def __init__(self, engine: Engine, path: Path, context: int = 32) -> None:
        weights = load_weights(path)
        self.tokenizer = Tokenizer(weights.load_vocabulary())
        self.session = Session(EngineModel(engine, weights, threads=1), context=context)

    def speak(self, prompt: Sequence[int] = (START,), max_tokens: int | None = None, **options: Any) -> list[Piece]:
        settings = SamplerOptions(**{"temperature": 0, **options})
        return list(generate(self.session, self.tokenizer, prompt, options=settings, max_tokens=max_tokens))


def texts(pieces: Sequence[Piece]) -> list[str]:
    return [piece.text for piece in pieces]


def reasons(pieces: Sequence[Piece]) -> list[str | None]:
    return [piece.stats.finish_reason for piece in pieces]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says "hello", a llama, "é", a sun, and stops; behind "x" it says "y" for ever."""
    ids = script("hello", LLAMA, "é", SUN, "<|eot_id|>")
    return write_scripted(tmp_path_factory.mktemp("scripted") / "m.gguf", ids, [ord("x"), ord("y"), ord("y")])


@pytest.fixture
def speaker(engine: Engine, path: Path) -> Speaker:
    return Speaker(engine, path)


def test_characters_come_when_they_are_complete(speaker: Speaker) -> None:
    pieces = speaker.speak()
    assert [piece.id for piece in pieces] == script("hello", LLAMA, "é", SUN, "<|eot_id|>")[1:]
    assert texts(pieces) == ["hello", "", "", "", "🦙", "é", "", "", "日", ""]


@pytest.mark.parametrize("name", ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"])
def test_tokens_that_end_a_text_stop(engine: Engine, tmp_path: Path, name: str) -> None:
    pieces = Speaker(engine, write_scripted(tmp_path / "m.gguf", script("hello", name))).speak()
    assert [piece.id for piece in pieces] == [IDS["hello"], IDS[name]]
    assert texts(pieces) == ["hello", ""]
    assert reasons(pieces) == [None, "stop"]


def test_a_character_that_is_never_completed_comes_at_the_end(speaker: Speaker) -> None:
    assert texts(speaker.speak(max_tokens=3)) == ["hello", "", "\N{REPLACEMENT CHARACTER}"]
    assert reasons(speaker.speak([START], max_tokens=3)) == [None, None, "length"]


def test_a_character_that_a_stop_token_cuts_comes_at_the_end(engine: Engine, tmp_path: Path) -> None:
    pieces = Speaker(engine, write_scripted(tmp_path / "m.gguf", script("hello", LLAMA[:2], "<|eot_id|>"))).speak()
    assert texts(pieces) == ["hello", "", "", "\N{REPLACEMENT CHARACTER}"]


def test_a_stop_token_counts_before_the_length(speaker: Speaker) -> None:
    assert reasons(speaker.speak(max_tokens=10))[-1] == "stop"


def test_without_a_limit_the_context_ends_a_text(engine: Engine, path: Path) -> None:
    speaker = Speaker(engine, path, context=7)
    pieces = speaker.speak([ord("x")])
    assert set(texts(pieces)) == {"y"}
    assert reasons(pieces) == [None] * (len(pieces) - 1) + ["context"]
    assert 6 <= len(pieces) <= 7


def test_a_limit_that_fills_the_context_exactly(engine: Engine, path: Path) -> None:
    assert reasons(Speaker(engine, path, context=7).speak([ord("x")], max_tokens=6))[-1] == "length"


@pytest.mark.parametrize(
    ("prompt", "max_tokens", "message"),
    [
        ([START] * 7, 1, "7 prompt tokens and 1 more to generate do not fit into the context of 7"),
        ([START], 7, "1 prompt tokens and 7 more to generate do not fit into the context of 7"),
        ([START] * 8, None, "8 prompt tokens do not fit into the context of 7"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(
    engine: Engine, path: Path, prompt: list[int], max_tokens: int | None, message: str
) -> None:
    speaker = Speaker(engine, path, context=7)
    with pytest.raises(ContextError, match=f"^{message}$"):
        # not even asked for the first piece
        generate(speaker.session, speaker.tokenizer, prompt, options=SamplerOptions(), max_tokens=max_tokens)
    assert speaker.session.position == 0


@pytest.mark.parametrize("max_tokens", [0, -1])
def test_max_tokens_is_at_least_one(speaker: Speaker, max_tokens: int) -> None:
    with pytest.raises(OptionError, match=f"^max_tokens is {max_tokens}; allowed: 1 or more$"):
        generate(speaker.session, speaker.tokenizer, [START], options=SamplerOptions(), max_tokens=max_tokens)


@pytest.mark.parametrize("prompt", [[], [288], [START, -1]])
def test_prompts_without_valid_tokens_are_refused_before_any_work(speaker: Speaker, prompt: list[int]) -> None:
    with pytest.raises(OptionError):
        generate(speaker.session, speaker.tokenizer, prompt, options=SamplerOptions())


def test_a_token_is_computed_when_it_is_asked_for(speaker: Speaker) -> None:
    pieces = generate(speaker.session, speaker.tokenizer, [1, START], options=SamplerOptions(temperature=0))
    assert speaker.session.position == 0
    next(pieces)
    assert speaker.session.position == 2
    next(pieces)
    assert speaker.session.ids == (1, START, IDS["hello"])


def test_a_generation_continues_its_session(speaker: Speaker) -> None:
    speaker.speak([5, START], max_tokens=1)
    assert texts(speaker.speak([IDS["hello"]], max_tokens=4)) == ["", "", "", "🦙"]
    assert speaker.session.ids == (5, START, IDS["hello"], *LLAMA[:3])


def test_statistics(speaker: Speaker) -> None:
    stats = [piece.stats for piece in speaker.speak([1, 2, START])]
    assert [s.tokens for s in stats] == list(range(1, 11))
    assert {s.prompt_tokens for s in stats} == {3}
    seconds = [s.seconds for s in stats]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[0] < seconds[-1]
    assert len({s.prompt_seconds for s in stats}) == 1
    assert stats[0].prompt_speed == 3 / stats[0].prompt_seconds > 0
    assert stats[0].speed == 0
    assert stats[-1].speed == 9 / seconds[-1]


def test_log_probabilities_are_the_models(engine: Engine, tmp_path: Path) -> None:
    config = tiny_config()
    tensors = random_tensors(config, 1)
    model, reference = load_tiny(engine, tmp_path / "m.gguf", config, tensors)
    tokenizer = Tokenizer(load_weights(tmp_path / "m.gguf").load_vocabulary())
    options = SamplerOptions(temperature=3, top_k=20, repeat_penalty=2, seed=1)
    pieces = list(generate(Session(model, context=64), tokenizer, [7], options=options, max_tokens=8))
    ids = [7, *(piece.id for piece in pieces)]
    logits = reference.forward(ids[:-1], reference.cache())
    for piece, row in zip(pieces, logits, strict=True):
        expected = row[piece.id] - np.log(np.sum(np.exp(row)))
        assert piece.logprob == pytest.approx(expected, abs=1e-4)


def test_recent_tokens_include_those_of_the_prompt(speaker: Speaker) -> None:
    prompt = [IDS["hello"], START]
    assert speaker.speak(prompt, max_tokens=1)[0].id == IDS["hello"]
    speaker.session.rewind(0)
    assert speaker.speak(prompt, max_tokens=1, repeat_penalty=1e6)[0].id != IDS["hello"]


def test_seeds_give_the_same_text_on_every_engine(both_engines: tuple[Engine, Engine], tmp_path: Path) -> None:
    config = tiny_config(context=128)
    write_gguf(tmp_path / "m.gguf", config, random_tensors(config, 1))
    options: dict[str, Any] = {"temperature": 1, "top_p": 0.9, "repeat_penalty": 1.1, "max_tokens": 40}
    spoken = [
        [[p.id for p in Speaker(engine, tmp_path / "m.gguf", 64).speak([7], seed=seed, **options)] for seed in (1, 2)]
        for engine in both_engines
    ]
    assert spoken[0] == spoken[1]
    assert spoken[0][0] != spoken[0][1]


def test_greedy_text_does_not_depend_on_the_seed(speaker: Speaker) -> None:
    first = speaker.speak(seed=1)
    speaker.session.rewind(0)
    assert texts(speaker.speak(seed=2)) == texts(first)
    assert first[-1].id == END
