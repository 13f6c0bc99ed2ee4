"""The sampler and its random numbers on every engine against the reference: same seed, same tokens.

The witness is tests/support/reference_sampler.py. To add a case: a `Case`, as an example of the property that it
tests.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from engines import Floats
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference_sampler import Xorshift128, distribution, draw, penalize

from pyllama3.backends import Engine
from pyllama3.errors import OptionError
from pyllama3.generation.loop import SamplerOptions, TokenSampler

INF = float("inf")
SEEDS = (0, 1, 42, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**40 + 12345, 2**63 - 1)


@dataclass(frozen=True)
class Case:
    """Logits and options of one draw."""

    logits: Sequence[float]
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    penalty: float = 1.0
    recent: Sequence[int] = ()
    seed: int = 0


def sample(engine: Engine, case: Case, draws: int = 1) -> list[int]:
    """Draw tokens from the same logits."""
    size = len(case.logits)
    sampler = engine.Sampler()
    sampler.set_buffers(engine.empty("int32", size), engine.empty("float64", size), size)
    sampler.set_options(case.temperature, case.top_k, case.top_p, case.min_p, case.penalty)
    sampler.set_seed(case.seed)
    logits, recent = engine.empty("float32", size), engine.empty("int32", len(case.recent) + 1)
    engine.numpy(recent, "int32")[: len(case.recent)] = case.recent
    tokens = []
    for _ in range(draws):
        engine.numpy(logits, "float32")[:] = case.logits
        tokens.append(sampler.sample(logits, recent, len(case.recent)))
    return tokens


def reference_distribution(case: Case) -> Any:
    return distribution(
        penalized(case),
        temperature=case.temperature,
        k=case.top_k,
        p=case.top_p,
        minimum=case.min_p,
    )


def penalized(case: Case) -> Any:
    """Return the logits after the penalty, which the engine stores as float32."""
    return penalize(np.array(case.logits, np.float64), case.recent, case.penalty).astype(np.float32).astype(np.float64)


# random numbers


@pytest.mark.parametrize("seed", SEEDS)
def test_random_numbers_equal_the_reference(engine: Engine, seed: int) -> None:
    numbers, reference = engine.RandomNumbers(), Xorshift128.seeded(seed)
    numbers.set_seed(seed)
    assert [numbers.next() for _ in range(300)] == [reference.uniform() for _ in range(300)]


@given(seed=st.integers(0, 2**63 - 1))
def test_random_numbers_of_any_seed(engine: Engine, seed: int) -> None:
    numbers, reference = engine.RandomNumbers(), Xorshift128.seeded(seed)
    numbers.set_seed(seed)
    assert [numbers.next() for _ in range(8)] == [reference.uniform() for _ in range(8)]


def test_setting_a_seed_again_starts_again(engine: Engine) -> None:
    numbers = engine.RandomNumbers()
    numbers.set_seed(5)
    first = [numbers.next() for _ in range(4)]
    numbers.set_seed(5)
    assert [numbers.next() for _ in range(4)] == first


# properties


@st.composite
def cases(draw: st.DrawFn) -> Case:
    # in steps, so that different logits have different probabilities; few of them, so that some are equal
    steps = draw(st.sampled_from([1, 64, 4096]))
    logit = st.just(-INF) | st.integers(-20 * steps, 20 * steps).map(lambda n: n / steps)
    logits = draw(st.lists(logit, min_size=1, max_size=40).filter(lambda logits: max(logits) > -INF))
    token = st.integers(0, len(logits) - 1)
    return Case(
        logits=logits,
        temperature=draw(st.floats(0.05, 20)),
        top_k=draw(st.integers(0, 50)),
        top_p=draw(st.just(1.0) | st.floats(0.01, 1)),
        min_p=draw(st.just(0.0) | st.floats(0, 1)),
        penalty=draw(st.just(1.0) | st.floats(0.5, 2)),
        recent=draw(st.lists(token, max_size=12)),
        seed=draw(st.integers(0, 2**63 - 1)),
    )


@given(case=cases())
@example(Case([1.0, 1.0, 1.0, 1.0], top_p=0.5))
@example(Case([0.0, 30.0, -INF, 29.5], temperature=0.01))
@example(Case([1.0, 1.0, 0.0, 1.0], min_p=1.0))
@example(Case([2.0, 1.0], top_k=1, penalty=4.0, recent=[0, 0]))
@settings(deadline=None)
def test_the_drawn_token_is_the_one_of_the_reference(engine: Engine, case: Case) -> None:
    (token,) = sample(engine, case)
    uniform = Xorshift128.seeded(case.seed).uniform()
    # Sums are rounded differently in the reference: a case on a threshold may fall to either side of it.
    around = (0, -1e-12, 1e-12)
    allowed = set()
    for p, minimum, number in product(around, around, around):
        near = replace(case, top_p=min(case.top_p + p, 1.0), min_p=min(max(case.min_p + minimum, 0.0), 1.0))
        allowed.add(draw(reference_distribution(near), uniform + number))
    assert token in allowed


@given(case=cases())
@settings(deadline=None)
def test_greedy_takes_the_first_of_the_best(engine: Engine, case: Case) -> None:
    assert sample(engine, replace(case, temperature=0.0)) == [int(np.argmax(penalized(case)))]


@given(case=cases())
@settings(deadline=None, max_examples=50)
def test_both_engines_draw_the_same(both_engines: tuple[Engine, Engine], case: Case) -> None:
    c, python = both_engines
    assert sample(c, case, draws=5) == sample(python, case, draws=5)


@pytest.mark.parametrize("size", [64, 200, 1000])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.02, "top_k": 150},  # ranks that are far from the best
        {"temperature": 0.3, "top_p": 0.999},
        {"temperature": 9.0},  # all are near
        {"temperature": 1.3, "top_k": 50, "top_p": 0.9, "min_p": 0.01},
    ],
    ids=str,
)
def test_large_vocabularies_draw_as_the_reference(engine: Engine, size: int, options: dict[str, Any]) -> None:
    logits = random_logits(size)
    logits[size // 3] = -INF
    logits[[5, size - 1]] = 11  # the best are two, in the first and in the last block
    case = Case(logits.tolist(), **options, seed=11)
    uniforms, expected = Xorshift128.seeded(case.seed), reference_distribution(case)
    assert sample(engine, case, draws=50) == [draw(expected, uniforms.uniform()) for _ in range(50)]


# single steps


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1e-3])
def test_equal_logits_the_lowest_token_first(engine: Engine, temperature: float) -> None:
    assert sample(engine, Case([0.0, 3.0, 1.0, 3.0], temperature, top_k=1), draws=5) == [1] * 5


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, {0, 1, 2, 3}),
        ({"top_k": 2}, {1, 3}),
        ({"top_k": 3}, {1, 2, 3}),
        ({"top_k": 4}, {0, 1, 2, 3}),
        ({"top_k": 2**31 - 1}, {0, 1, 2, 3}),
        ({"top_p": 0.39}, {1}),
        ({"top_p": 0.41}, {1, 3}),
        ({"top_p": 1e-9}, {1}),
        ({"min_p": 0.5}, {1, 3}),
        ({"min_p": 1.0}, {1}),
        ({"top_k": 2, "top_p": 0.55}, {1}),  # of the two left, the first has 4/7
        ({"temperature": 1e9, "min_p": 0.5}, {0, 1, 2, 3}),  # all are nearly equal
        ({"temperature": 0.01}, {1}),
        ({"penalty": 1e6, "recent": [1, 1]}, {0, 1, 2, 3}),
        ({"penalty": 1e6, "recent": [1, 1], "top_k": 3}, {0, 2, 3}),
    ],
    ids=str,
)
def test_tokens_that_can_be_drawn(engine: Engine, options: dict[str, Any], kept: set[int]) -> None:
    logits = np.log([0.1, 0.4, 0.2, 0.3]) + 5  # positive, so that a penalty divides
    assert set(sample(engine, Case(logits.tolist(), **options), draws=300)) == kept


@pytest.mark.parametrize(
    ("options", "kept"),
    [({"top_p": 0.5}, {0, 1}), ({"top_p": 0.75}, {0, 1, 3}), ({"min_p": 1.0}, {0, 1, 3, 4}), ({"top_k": 3}, {0, 1, 3})],
    ids=str,
)
def test_tokens_on_a_threshold(engine: Engine, options: dict[str, Any], kept: set[int]) -> None:
    logits = [1.0, 1.0, -INF, 1.0, 1.0]  # four equal probabilities, whose sums are exact
    assert set(sample(engine, Case(logits, **options), draws=200)) == kept


@pytest.mark.parametrize(
    ("logits", "penalty", "recent", "expected"),
    [
        ([2.0, -2.0, 0.0, 1.0], 2.0, [0, 1, 0, 2], [1, -4, 0, 1]),
        ([2.0, -2.0, 0.0, 1.0], 0.5, [3, 1], [2, -1, 0, 2]),
        ([2.0, -2.0, -INF, 1.0], 2.0, [2], [2, -2, -INF, 1]),
        ([2.0, -2.0, 0.0, 1.0], 1.0, [0, 1], [2, -2, 0, 1]),
        ([2.0, -2.0, 0.0, 1.0], 2.0, [], [2, -2, 0, 1]),
    ],
)
def test_penalty(engine: Engine, logits: list[float], penalty: float, recent: list[int], expected: list[float]) -> None:
    sampler = engine.Sampler()
    sampler.set_buffers(engine.empty("int32", 4), engine.empty("float64", 4), 4)
    sampler.set_options(0.0, 0, 1.0, 0.0, penalty)
    memory, window = engine.empty("float32", 4), engine.empty("int32", 5)
    engine.numpy(memory, "float32")[:] = logits
    engine.numpy(window, "int32")[: len(recent)] = recent
    assert sampler.sample(memory, window, len(recent)) == int(np.argmax(expected))
    assert engine.numpy(memory, "float32").tolist() == expected


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1.0, 1e300])
@pytest.mark.parametrize("options", [{}, {"top_k": 3}, {"top_p": 0.9}, {"min_p": 0.1}], ids=str)
def test_tokens_with_a_logit_of_minus_infinity_are_never_drawn(
    engine: Engine, temperature: float, options: dict[str, Any]
) -> None:
    case = Case([-INF, 0.5, -INF, -INF, 0.5, -INF], temperature, **options)
    assert set(sample(engine, case, draws=100)) == ({1, 4} if temperature else {1})


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("logits", [[-INF] * 3, [INF, 0.0, INF], [float("nan")] * 3], ids=str)
def test_without_a_largest_finite_logit_there_is_no_token(
    engine: Engine, temperature: float, logits: list[float]
) -> None:
    assert sample(engine, Case(logits, temperature, top_k=2, top_p=0.9, min_p=0.1)) == [-1]
    assert sample(engine, Case([-3.4e38, -INF, 3.4e38], temperature, top_k=1)) == [2]


def test_a_vocabulary_of_one_token(engine: Engine) -> None:
    assert sample(engine, Case([-3.0], top_k=5, top_p=0.5, min_p=0.5), draws=3) == [0] * 3


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 1.7}, {"temperature": 1.3, "top_k": 6, "top_p": 0.95, "min_p": 0.05}],
    ids=str,
)
def test_draws_follow_the_distribution(engine: Engine, options: dict[str, Any]) -> None:
    case = Case([0.3, 2.0, -1.0, 1.0, 0.0, 1.5, -2.0, 0.9], seed=7, **options)
    draws = 10000
    counts = Counter(sample(engine, case, draws))
    expected = reference_distribution(case) * draws
    assert counts.keys() == set(np.flatnonzero(expected).tolist())
    chi_squared = sum((counts[token] - expected[token]) ** 2 / expected[token] for token in counts)
    assert chi_squared < 30  # with 7 degrees of freedom exceeded once in 10,000 seeds


# the host's sampler


def random_logits(size: int = 300) -> Floats:
    return np.random.default_rng(4).normal(size=size).astype(np.float32) * 3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_gives_the_same_tokens_on_every_engine(both_engines: tuple[Engine, Engine], seed: int) -> None:
    options = SamplerOptions(temperature=1.1, top_p=0.95, min_p=0.01, repeat_penalty=1.2, seed=seed)
    texts = []
    for engine in both_engines:
        sampler, tokens = TokenSampler(engine, 300, options), [0]
        for _ in range(40):
            tokens.append(sampler.sample(random_logits(), tokens))
        texts.append(tokens)
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 10


def test_without_a_seed_every_sampler_is_different(engine: Engine) -> None:
    texts = set()
    for _ in range(2):
        sampler = TokenSampler(engine, 300, SamplerOptions(temperature=2, top_p=1))
        texts.add(tuple(sampler.sample(random_logits(), ()) for _ in range(20)))
    assert len(texts) == 2


def test_logits_are_left_as_they_are(engine: Engine) -> None:
    logits = random_logits()
    logits.flags.writeable = False
    TokenSampler(engine, 300, SamplerOptions(repeat_penalty=2)).sample(logits, range(300))
    np.testing.assert_array_equal(logits, random_logits())


@pytest.mark.parametrize("temperature", [0, 1])
def test_where_all_tokens_are_excluded_none_is_chosen(engine: Engine, temperature: float) -> None:
    allowed = np.arange(300) < 2
    bias = dict.fromkeys(range(2), -INF)
    sampler = TokenSampler(engine, 300, SamplerOptions(temperature=temperature, repeat_penalty=1.5), bias)
    assert sampler.sample(random_logits(), [5]) > 1
    with pytest.raises(OptionError, match=r"^no token can come next: the grammar and logit_bias exclude all 300$"):
        sampler.sample(random_logits(), [5], allowed)
    sampler = TokenSampler(engine, 300, SamplerOptions(temperature=temperature), dict.fromkeys(range(300), -INF))
    with pytest.raises(OptionError, match=r"^no token can come next: logit_bias excludes all 300$"):
        sampler.sample(random_logits(), [])


def test_the_largest_options_leave_logits_finite(engine: Engine) -> None:
    options = SamplerOptions(repeat_penalty=1e-15, presence_penalty=-1e15, frequency_penalty=-1e15, temperature=0)
    sampler = TokenSampler(engine, 300, options, {7: 1e15, 8: -1e15})
    for _ in range(50):
        assert sampler.sample(random_logits(), [7, 8]) == 7


@pytest.mark.parametrize(("last_n", "expected"), [(0, 5), (1, 5), (2, 5), (3, 6), (4, 6), (64, 6)])
def test_only_the_last_tokens_are_penalized(engine: Engine, last_n: int, expected: int) -> None:
    logits = np.array([0, 1, 2, 3, 4, 9, 8], np.float32)  # 5 is the best token, and the last but two
    options = SamplerOptions(temperature=0, repeat_penalty=100, repeat_last_n=last_n)
    assert TokenSampler(engine, 7, options).sample(logits, [0, 5, 1, 2]) == expected


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", -0.1),
        ("temperature", INF),
        ("temperature", float("nan")),
        ("top_k", -1),
        ("top_k", 2**31),
        ("top_p", 0),
        ("top_p", 1.01),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("repeat_penalty", 0),
        ("repeat_penalty", INF),
        ("repeat_penalty", 1e-38),
        ("presence_penalty", -2e15),
        ("frequency_penalty", float("nan")),
        ("repeat_last_n", -1),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_options_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(f'{option} is {value}')}; allowed: "):
        SamplerOptions(**{option: value})  # type: ignore[arg-type]
