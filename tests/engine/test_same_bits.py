"""The logits of a sequence are the same to the last bit, however they are computed.

Expected are those of a sequence that is fed token by token, alone, by one thread. They are compared with those of
passes cut at random, of several sequences in random orders, of guesses that are checked and forgotten, of caches that
are saved and restored, each with another number of threads.
"""

from __future__ import annotations

from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import Floats, built_engine
from gguf import GGMLQuantizationType as GgmlType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3.backends import Engine
from pyllama3.config import CACHE_TYPES, PRECISIONS, CacheType, Precision
from pyllama3.generation.prompt_cache import load_prompt, save_prompt
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.runtime.state import State
from pyllama3.weights import load_weights

SEQUENCES = 3
LENGTH = 40
"""Tokens of each sequence."""
IDS = np.random.default_rng(3).integers(0, 288, (SEQUENCES, LENGTH))
KINDS = [(precision, kind) for precision in PRECISIONS for kind in CACHE_TYPES]
TYPES = [
    *(GgmlType.Q4_0, GgmlType.Q4_1, GgmlType.Q5_0, GgmlType.Q5_1, GgmlType.Q8_0),
    *(GgmlType.Q2_K, GgmlType.Q3_K, GgmlType.Q4_K, GgmlType.Q5_K, GgmlType.Q6_K, GgmlType.IQ4_NL, GgmlType.IQ4_XS),
    *(GgmlType.IQ2_XXS, GgmlType.IQ2_S, GgmlType.TQ1_0, GgmlType.F16, GgmlType.BF16, GgmlType.F32),
]
"""One for each matrix of the model, in turn."""
THREADS = st.integers(1, 4)
BATCHES = st.tuples(st.lists(st.integers(0, SEQUENCES - 1), min_size=1, max_size=16), THREADS)
"""The sequences of the rows, and the threads."""
STEPS = st.tuples(st.sampled_from(["at once", "one by one", "guess", "save"]), st.integers(1, 20), THREADS)
"""How to feed a sequence, how many tokens, and the threads."""
quick = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Threads:
    """Takes the place of `Pace`: so many threads compute."""

    def __init__(self, count: int) -> None:
        self.count = count

    def choose(self) -> int:
        return self.count

    def learn(self, threads: int, seconds: float) -> None:
        assert threads == self.count


def use_threads(state: State, count: int) -> None:
    """Have so many threads compute the next passes."""
    assert count <= state.threads
    state._paces = dict.fromkeys((False, True), Threads(count))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 256 columns, with a matrix of each type."""
    found = tmp_path_factory.mktemp("bits") / "mixed.gguf"
    config = tiny_config(
        dim=256, hidden_dim=512, heads=4, kv_heads=2, head_dim=64, layers=3, vocab_size=301, context=512
    )
    tensors = random_tensors(config, 6)
    matrices = [name for name, tensor in tensors.items() if tensor.ndim == 2]
    write_gguf(found, config, tensors, dict(zip(matrices, cycle(TYPES), strict=False)))
    return found


class Case:
    """A model, and the logits of its sequences (sequences, tokens, vocab_size)."""

    def __init__(self, path: Path, engine: Engine, precision: Precision, kind: CacheType, length: int = LENGTH) -> None:
        self.model = EngineModel(engine, load_weights(path), threads=4, precision=precision, cache_type=kind)
        self.ids = IDS[:, :length].tolist()
        self.expected = np.array([self._by_single_tokens(ids) for ids in self.ids])

    def session(self, threads: int) -> Session:
        session = Session(self.model, context=LENGTH)
        use_threads(session._state, threads)
        return session

    def _by_single_tokens(self, ids: list[int]) -> list[Floats]:
        with self.session(1) as session:
            return [session.feed([id]) for id in ids]


@cache
def case(path: Path, precision: Precision, kind: CacheType) -> Case:
    return Case(path, built_engine("c"), precision, kind)


def assert_same(actual: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(actual).view(np.uint32), np.asarray(expected).view(np.uint32))


@pytest.mark.parametrize(("precision", "kind"), KINDS)
@quick
@given(batches=st.lists(BATCHES, max_size=9))
def test_batches_of_several_sequences(
    path: Path, precision: Precision, kind: CacheType, batches: list[tuple[list[int], int]]
) -> None:
    check_batches(case(path, precision, kind), batches)


def check_batches(case: Case, batches: list[tuple[list[int], int]]) -> None:
    """Compare batches of rows that are the next ones of some sequences, computed by some threads."""
    state = State(case.model, context=LENGTH, sequences=SEQUENCES, batch=16, grows=True)
    held = [0] * SEQUENCES
    for wanted, threads in batches:
        rows: list[tuple[int, int]] = []
        for sequence in wanted:
            if held[sequence] < len(case.ids[0]):
                rows.append((sequence, held[sequence]))
                held[sequence] += 1
        if not rows:
            continue
        count = len(rows)
        state.tokens[:count] = [case.ids[sequence][position] for sequence, position in rows]
        state.sequence_ids[:count], state.positions[:count] = np.transpose(rows)
        state.logit_rows[:count] = range(count - 1, -1, -1)
        use_threads(state, threads)
        logits = state.forward(count, count)
        for row, (sequence, position) in zip(logits[::-1], rows, strict=True):
            assert_same(row, case.expected[sequence, position])
    state.close()


@pytest.mark.parametrize(("precision", "kind"), KINDS)
@quick
@given(steps=st.lists(STEPS, max_size=9))
def test_a_sequence_cut_anywhere(
    path: Path, precision: Precision, kind: CacheType, steps: list[tuple[str, int, int]]
) -> None:
    check_steps(case(path, precision, kind), steps, path.with_name("saved"))


def check_steps(case: Case, steps: list[tuple[str, int, int]], saved: Path) -> None:
    """Compare a sequence that is fed in steps: how, how many tokens, and by how many threads."""
    ids, expected = case.ids[0], case.expected[0]
    session, at = case.session(1), 0
    for how, most, threads in steps:
        part = ids[at : at + most]
        if not part:
            break
        use_threads(session._state, threads)
        if how == "guess":  # of which only the first token turns out to be right
            wrong = [(id + 1) % 288 for id in part[1:]]
            assert_same(session.feed([part[0], *wrong], all_logits=True)[0], expected[at])
            session.rewind(at + 1)
            at += 1
            continue
        if how == "save" and at > 0:
            save_prompt(saved, session, at)
            session.close()
            session = case.session(threads)
            load_prompt(saved, session)
            assert session.position == at
        if how == "one by one":
            for position, id in enumerate(part, at):
                assert_same(session.feed([id]), expected[position])
        else:
            assert_same(session.feed(part, all_logits=True), expected[at : at + len(part)])
        at += len(part)
    session.close()


@pytest.mark.parametrize(("precision", "kind"), [("exact", "f32"), ("default", "f16"), ("fast", "int8")])
def test_every_engine(engine: Engine, tmp_path: Path, precision: Precision, kind: CacheType) -> None:
    """More queries in one pass than in others, and more rows than share a step: both have paths of their own."""
    found, config = tmp_path / "tiny.gguf", tiny_config(vocab_size=301, layers=1)
    write_gguf(found, config, random_tensors(config, 6), GgmlType.Q4_1)
    small = Case(found, engine, precision, kind, 13)
    threads = 4 if engine.has_threads else 1
    check_batches(small, [([0, 1, 1, 0, 2, 0], threads), ([0] * 9, 1), ([1, 2], threads)])
    check_steps(small, [("at once", 1, 1), ("guess", 4, threads), ("save", 8, 1), ("one by one", 3, 1)], tmp_path / "p")


@pytest.mark.parametrize(("precision", "kind"), KINDS)
def test_threads_that_share_the_attention_of_a_long_sequence(path: Path, precision: Precision, kind: CacheType) -> None:
    """From 256 positions on, threads share the steps of attention of one row and meet between them."""
    model = EngineModel(built_engine("c"), load_weights(path), threads=4, precision=precision, cache_type=kind)
    ids = np.random.default_rng(5).integers(0, 288, 275).tolist()
    results = []
    for threads in (1, 2, 3, 4):
        with Session(model, context=300) as session:
            use_threads(session._state, threads)
            session.feed(ids[:250])
            results.append([session.feed([id]) for id in ids[250:]])
    with Session(model, context=300) as session:
        results.append(list(session.feed(ids, all_logits=True)[250:]))
    for found in results[1:]:
        assert_same(found, results[0])


# a real model


@pytest.fixture(scope="module", params=PRECISIONS)
def smollm2(request: pytest.FixtureRequest, smollm2_path: Path) -> EngineModel:
    return EngineModel(built_engine("c"), load_weights(smollm2_path), threads=2, precision=request.param)


def test_smollm2(smollm2: EngineModel) -> None:
    ids = np.random.default_rng(5).integers(0, 49152, 290).tolist()
    results = []
    for threads, cuts in ((1, [280]), (2, [3, 131, 140, 259, 261, 280])):
        with Session(smollm2, context=512) as session:
            use_threads(session._state, threads)
            for start, end in zip([0, *cuts], [*cuts, 290], strict=True):
                logits = session.feed(ids[start:end], all_logits=end == 290)
            session.rewind(280)
            results += [logits, [session.feed([id]) for id in ids[280:]]]
    for found in results[1:]:
        assert_same(found, results[0])
