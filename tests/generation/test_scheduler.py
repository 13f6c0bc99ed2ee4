"""Texts side by side share what their prompts have in common, and are those of single runs to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_models import random_tensors, tiny_config, write_gguf, write_tiny

from pyllama3 import Llama
from pyllama3.config import CACHE_TYPES, CacheType
from pyllama3.errors import PyLlama3Error, WeightsError
from pyllama3.generation.generation import Generation, Piece
from pyllama3.generation.places import common_length
from pyllama3.generation.scheduler import Scheduler

CONTEXT = 256
SYSTEM = list(range(1, 81))
"""What prompts begin with."""
WITHOUT_END = dict.fromkeys(range(269, 288), -100)
"""A bias with which no token stops a text."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("random") / "m.gguf", context=CONTEXT)


@pytest.fixture(scope="module")
def llm(path: Path) -> Llama:
    return Llama.load(path)


def text(llm: Llama, prompt: list[int], count: int = 12) -> Generation:
    return llm.generation(prompt, max_tokens=count, temperature=1, seed=5, top_logprobs=3, logit_bias=WITHOUT_END)


def alone(llm: Llama, prompt: list[int], count: int = 12) -> list[tuple[object, ...]]:
    options = {"max_tokens": count, "temperature": 1, "seed": 5, "top_logprobs": 3, "logit_bias": WITHOUT_END}
    return [bits(piece) for piece in llm.generate(prompt, **options)]


def bits(piece: Piece | PyLlama3Error) -> tuple[object, ...]:
    """What of a piece must not depend on its company."""
    assert isinstance(piece, Piece)
    return piece.id, piece.text, piece.logprob, tuple(piece.top_logprobs)


def finish(scheduler: Scheduler, *generations: Generation, most_rows: int | None = None) -> list[list[Piece]]:
    """Run until all of these have ended, and return their pieces."""
    pieces: dict[Generation, list[Piece]] = {generation: [] for generation in generations}
    while not all(generation.finished for generation in generations):
        for generation, piece in scheduler.step(most_rows):
            assert isinstance(piece, Piece)
            pieces.setdefault(generation, []).append(piece)
    return [pieces[generation] for generation in generations]


def read(pieces: list[Piece]) -> int:
    """How many tokens of the prompt were read."""
    return pieces[-1].stats.prompt_tokens


@pytest.mark.parametrize("cache_type", CACHE_TYPES)
@pytest.mark.parametrize("kept", [1, 15, 16, 17, 79])
def test_a_copied_beginning_changes_no_bit(path: Path, cache_type: CacheType, kept: int) -> None:
    llm = Llama.load(path, cache_type=cache_type)
    scheduler = llm.scheduler(3)
    first, second = [*SYSTEM, 90], [*SYSTEM[:kept], *range(100, 140)]
    for prompt, known in ((first, 0), (second, kept), (first, 80)):
        generation = text(llm, prompt)
        scheduler.add(generation)
        (pieces,) = finish(scheduler, generation)
        assert [bits(piece) for piece in pieces] == alone(llm, prompt)
        assert read(pieces) == len(prompt) - known


def test_a_second_turn_reads_only_what_is_new(llm: Llama) -> None:
    scheduler = llm.scheduler(3)
    turns = [[*SYSTEM, 100 + n] for n in range(3)]
    for _ in range(3):
        for n, prompt in enumerate(turns):  # two others come between two turns of each
            generation = text(llm, prompt)
            new = scheduler.unknown(generation)
            scheduler.add(generation)
            (pieces,) = finish(scheduler, generation)
            assert [bits(piece) for piece in pieces] == alone(llm, prompt)
            assert read(pieces) == new
            if len(prompt) > len(SYSTEM) + 1:
                assert new == 4 + 1  # the message, and the last token of the answer, which the model has not read
            turns[n] = [*generation.ids, 110, 111, 112, 113]


def test_a_text_in_the_making_is_shared(llm: Llama) -> None:
    scheduler = llm.scheduler(2)
    first, second = text(llm, [*SYSTEM, 90], 40), text(llm, [*SYSTEM, 91])
    scheduler.add(first)
    scheduler.step(16)
    assert scheduler.is_worth_waiting(second)
    while scheduler.is_worth_waiting(second):
        scheduler.step(16)
    scheduler.add(second)
    (pieces,) = finish(scheduler, second)
    assert read(pieces) <= 16 + 1
    assert [bits(piece) for piece in pieces] == alone(llm, second.ids[:81])


def test_a_text_that_goes_on_keeps_its_place(llm: Llama) -> None:
    scheduler = llm.scheduler(2)
    turns = {name: [*SYSTEM, name] for name in (101, 102)}
    for name in (101, 102, 102, 101):
        generation = text(llm, turns[name])
        scheduler.add(generation)
        (pieces,) = finish(scheduler, generation)
        turns[name] = [*generation.ids, 110, 111, 112, 113]
    assert read(pieces) == 4 + 1


def test_a_short_prompt_is_read_at_once(llm: Llama) -> None:
    scheduler = llm.scheduler(4)
    for n in range(3):
        scheduler.add(text(llm, [n + 1] * 200))
    short = text(llm, [200, 201, 202, 203, 204, 205])
    scheduler.add(short)
    ((generation, _),) = scheduler.step(9)
    assert generation is short


@pytest.mark.parametrize("most_rows", [8, 13, None])
def test_short_prompts_pass_long_ones(llm: Llama, most_rows: int | None) -> None:
    scheduler = llm.scheduler(5)
    long = [text(llm, [n + 1] * 200) for n in range(4)]
    for generation in long:
        scheduler.add(generation)
    scheduler.step(most_rows)
    short = text(llm, [200, 201, 202, 203, 204, 205], 1)
    scheduler.add(short)
    finish(scheduler, short, most_rows=most_rows)
    assert scheduler.reading > 400
    for generation, pieces in zip(long, finish(scheduler, *long, most_rows=most_rows), strict=True):
        assert [bits(piece) for piece in pieces] == alone(llm, generation.ids[:200])


def test_a_place_of_a_removed_text_can_be_used_again(llm: Llama) -> None:
    scheduler = llm.scheduler(1)
    first = text(llm, [*SYSTEM, 90], 100)
    scheduler.add(first)
    scheduler.step(30)
    scheduler.remove(first)
    assert (scheduler.free, scheduler.running) == (1, 0)
    second = text(llm, [*SYSTEM, 91])
    scheduler.add(second)
    (pieces,) = finish(scheduler, second)
    assert read(pieces) == 81 - 30
    assert [bits(piece) for piece in pieces] == alone(llm, [*SYSTEM, 91])


def test_numbers_of_damaged_weights_do_not_reach_other_texts(tmp_path: Path) -> None:
    config = tiny_config(context=CONTEXT)
    tensors = random_tensors(config, seed=1)
    tensors["token_embd.weight"][77] = np.nan
    write_gguf(tmp_path / "m.gguf", config, tensors)
    llm = Llama.load(tmp_path / "m.gguf", precision="exact")
    scheduler = llm.scheduler(1)
    bad = text(llm, [1, 2, 77])
    scheduler.add(bad)
    ((generation, error),) = scheduler.step()
    assert generation is bad
    assert isinstance(error, WeightsError)
    good = text(llm, [1, 2])
    scheduler.add(good)
    (pieces,) = finish(scheduler, good)
    assert [bits(piece) for piece in pieces] == alone(llm, [1, 2])


@pytest.mark.parametrize(("a", "b"), [([], [1]), ([1, 2, 3], [1, 2, 3]), ([1, 2, 3, 4], [1, 2, 9, 4]), ([5], [6])])
def test_common_length(a: list[int], b: list[int]) -> None:
    expected = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    assert common_length(a, b) == expected
