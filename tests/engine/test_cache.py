"""Attention over cached keys and values, alone, against the reference.

To add a case: positions, or a shape, for `check`; how exact a kind of cache is stands in `rounded`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import ELEMENTWISE, MARGIN, ROUNDING, SUM, TINIEST, Floats, Input, Output, Values, assert_close, normal

from pyllama3.analysis.reference import attention, attention_scores, softmax
from pyllama3.backends import Engine
from pyllama3.config import CACHE_TYPES

LAYERS, SEQUENCES = 2, 3


def rounded(x: Values, kind: str, *, are_keys: bool) -> Values:
    """Return keys or values (count, kv_heads, head_dim) as a kind of cache keeps them."""
    if kind == "f16":
        return x.astype(np.float16).astype(np.float32)
    if kind == "int8":
        x = np.float64(x)
        firsts = x[::16].astype(np.float16).astype(np.float64).repeat(16, axis=0)[: len(x)] * are_keys
        return firsts + in_steps(x - firsts)
    return x


def in_steps(x: Values) -> Values:
    """Return numbers as bytes keep them: each 32 elements of a head, or fewer at its end, have a scale and a middle."""
    kept = []
    for run in np.split(x, range(32, x.shape[2], 32), axis=2):
        least, most = run.min(axis=2, keepdims=True), run.max(axis=2, keepdims=True)
        scale, middle = (most - least) / 254, (most + least) / 2
        kept.append(np.rint((run - middle) / np.where(scale == 0, 1, scale)) * scale + middle)
    return np.concatenate(kept, axis=2)


class Cache:
    """A cache of the engine, whose memory is between sentinels."""

    def __init__(
        self, engine: Engine, positions: int, kv_heads: int, group: int, head_dim: int, *, kind: str = "f32"
    ) -> None:
        self.engine = engine
        self.shape = (kv_heads, group, head_dim)
        self.core = engine.KvCache()
        self.core.init(LAYERS, SEQUENCES, positions, kv_heads, group, head_dim)
        core, dtype = self.core, {"f32": "float32", "f16": "int16", "int8": "int8"}[kind]
        lengths = core.get_keys_length(), core.get_values_length()
        self.memory = [Output(engine, np.zeros(length), dtype) for length in lengths]
        if kind == "int8":
            self.memory += [Output(engine, np.zeros(core.get_scales_length())) for _ in range(2)]
            self.memory.append(Output(engine, np.zeros(core.get_first_keys_length()), "int16"))
        setter = {"f32": core.set_memory, "f16": core.set_half_memory, "int8": core.set_byte_memory}[kind]
        setter(*(memory.run for memory in self.memory))

    def store(self, layer: int, sequence: int, position: int, keys: Floats, values: Floats) -> None:
        """Store keys and values (kv_heads, head_dim)."""
        arrays = (Input(self.engine, array).array for array in (keys, values))
        self.core.store(layer, sequence, position, *arrays, MARGIN)
        for memory in self.memory:
            memory.result()

    def attend(
        self, layer: int, sequence: int, queries: Floats, positions: list[int], start: int, end: int, head: int
    ) -> Values:
        """Return (rows, kv_heads, group, head_dim): what was computed, and 5 elsewhere."""
        work = Work(self, queries, positions)
        self.core.attend(start, end, layer, sequence, head, MARGIN)
        return work.result()


class Work:
    """Queries, the output of attention and its working memory, between sentinels.

    `Prepare` and `AttendStep` find the latter at the start of their array, other methods at the offset MARGIN.
    """

    def __init__(
        self, cache: Cache, queries: Floats, positions: list[int], *, parts: int = 1, from_start: bool = False
    ) -> None:
        self._output = Output(cache.engine, np.full(queries.shape, 5))
        self._scratch = Output(cache.engine, (cache.core.get_scratch_length() * parts,))
        where, vectors = Input(cache.engine, positions, "int32").run, Input(cache.engine, queries).run
        scratch = self._scratch.run if from_start else self._scratch.array
        cache.core.set_work(self._output.run, vectors, where, scratch)

    def scratch(self) -> Floats:
        """Return the working memory."""
        return self._scratch.result()

    def result(self) -> Floats:
        """Return the output (rows, kv_heads, group, head_dim)."""
        self.scratch()
        return self._output.result()


def fill(cache: Cache, layer: int, sequence: int, count: int) -> tuple[Floats, Floats]:
    """Store random keys and values (count, kv_heads, head_dim)."""
    kv_heads, _, head_dim = cache.shape
    keys, values = (normal(count, kv_heads, head_dim, seed=10 * layer + sequence + seed) for seed in (0, 100))
    for position in range(count):
        cache.store(layer, sequence, position, keys[position], values[position])
    return keys, values


def check(cache: Cache, keys: Any, values: Any, positions: list[int], layer: int = 0, sequence: int = 0) -> None:
    """Compare attention of rows at some positions, head by head, with the reference."""
    kv_heads, group, head_dim = cache.shape
    queries = normal(len(positions), kv_heads, group, head_dim, seed=7)
    flat = np.float64(queries).reshape(len(positions), kv_heads * group, head_dim)
    expected = attention(flat, np.float64(keys), np.float64(values), np.array(positions)).reshape(queries.shape)
    for head in range(kv_heads):
        actual = cache.attend(layer, sequence, queries, positions, 0, len(positions), head)
        # scores of size 10 are off by 100 roundings, and so are probabilities, relatively
        assert_close(actual[:, head], expected[:, head], 1000 * ROUNDING * np.abs(values).max())
        assert (np.delete(actual, head, axis=1) == 5).all()


@pytest.mark.parametrize(
    ("kv_heads", "group", "head_dim"),
    [(1, 1, 2), (2, 1, 16), (2, 2, 20), (1, 3, 64), (3, 4, 8), (1, 80, 2)],  # more than 64 queries at once
)
@pytest.mark.parametrize("kind", CACHE_TYPES)
@pytest.mark.parametrize("count", [1, 2, 16, 17, 40])
def test_attention(engine: Engine, kv_heads: int, group: int, head_dim: int, kind: str, count: int) -> None:
    cache = Cache(engine, 40, kv_heads, group, head_dim, kind=kind)
    keys, values = fill(cache, 0, 0, count)
    keys, values = rounded(keys, kind, are_keys=True), rounded(values, kind, are_keys=False)
    rows = min(count, cache.core.get_block_rows())
    for first in {0, count // 2, count - 1}:
        check(cache, keys, values, list(range(first, min(first + rows, count))))


@pytest.mark.parametrize("kind", CACHE_TYPES)
def test_the_steps_of_attention(engine: Engine, kind: str) -> None:
    kv_heads, group, head_dim, positions, layer, sequence, head = 2, 3, 8, [17, 18, 19], 1, 2, 1
    cache = Cache(engine, 40, kv_heads, group, head_dim, kind=kind)
    keys, values = fill(cache, layer, sequence, 20)
    keys, values = rounded(keys, kind, are_keys=True), rounded(values, kind, are_keys=False)
    queries = normal(3, kv_heads, group, head_dim, seed=7)
    flat = np.float64(queries).reshape(3, kv_heads * group, head_dim)
    expected = attention_scores(flat, np.float64(keys), np.array(positions)).reshape(3, kv_heads, group, 20)[:, head]
    core, work = cache.core, Work(cache, queries, positions)

    def rows() -> Values:
        """Return the scores or probabilities (rows, group, positions)."""
        start, stride = core.get_scores_offset(3), core.get_scores_stride()
        return work.scratch()[start : start + 9 * stride].reshape(3, group, stride)[..., :20]

    core.score(0, 3, layer, sequence, head, MARGIN)
    past = np.isfinite(expected)
    assert_close(rows()[past], expected[past], SUM * 50)
    core.softmax_rows(0, 3, MARGIN)
    assert_close(rows(), softmax(expected), 1000 * ROUNDING)
    assert (rows()[~past] == 0).all()
    core.gather(0, 3, layer, sequence, head, MARGIN)
    result = work.result().copy()
    assert_close(result, cache.attend(layer, sequence, queries, positions, 0, 3, head), TINIEST)


@pytest.mark.parametrize("kind", CACHE_TYPES)
@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize(
    ("group", "head_dim", "first", "rows"), [(3, 20, 39, 1), (3, 64, 15, 2), (1, 8, 30, 5), (4, 48, 0, 1)]
)
def test_parts_of_the_steps_give_the_same(
    engine: Engine, kind: str, parts: int, group: int, head_dim: int, first: int, rows: int
) -> None:
    kv_heads, layer, sequence, positions = 3, 1, 2, list(range(first, first + rows))
    cache = Cache(engine, 40, kv_heads, group, head_dim, kind=kind)
    fill(cache, layer, sequence, first + rows)
    queries = normal(rows, kv_heads, group, head_dim, seed=7)
    alone = [cache.attend(layer, sequence, queries, positions, 0, rows, head) for head in range(kv_heads)]
    work = Work(cache, queries, positions, parts=parts, from_start=True)
    assert cache.core.can_attend_together(rows, parts)
    cache.core.prepare(rows)
    for step in range(3):
        for part in reversed(range(parts)):
            cache.core.attend_step(step, rows, layer, sequence, part, parts)
    result = work.result()
    for head in range(kv_heads):
        assert (result[:, head] == alone[head][:, head]).all()


@pytest.mark.parametrize("kind", CACHE_TYPES)
@pytest.mark.parametrize("group", [1, 3])
def test_rows_have_the_same_bits_whatever_attends_beside_them(engine: Engine, kind: str, group: int) -> None:
    count, kv_heads, head_dim = (20, 1, 8) if engine.name == "python" else (300, 2, 40)
    cache = Cache(engine, count, kv_heads, group, head_dim, kind=kind)
    fill(cache, 0, 0, count)
    most = cache.core.get_block_rows()
    positions = list(range(count - min(most, 18), count))
    queries = normal(len(positions), kv_heads, group, head_dim, seed=7)
    together = cache.attend(0, 0, queries, positions, 0, len(positions), 0)[:, 0]
    for size in (1, 2, 3, 8, 9):
        for start in range(0, len(positions), size):
            end = min(start + size, len(positions))
            some = cache.attend(0, 0, queries, positions, start, end, 0)[start:end, 0]
            np.testing.assert_array_equal(some, together[start:end])


def test_heads_that_need_more_memory_than_threads_have_do_not_attend_together(engine: Engine) -> None:
    core = Cache(engine, 16, 17, 4, 8).core  # 64 queries have memory in each thread
    assert not core.can_attend_together(1, 1)
    assert core.can_attend_together(1, 2)


def test_attention_over_more_positions_than_are_summed_at_a_time(engine: Engine) -> None:
    cache = Cache(engine, 600, 1, 2, 8)
    keys, values = fill(cache, 0, 0, 600)
    check(cache, keys, values, [255, 256, 257, 511, 512, 599])


def test_layers_and_sequences_are_apart(engine: Engine) -> None:
    cache = Cache(engine, 20, 2, 2, 8)
    stored = {(layer, sequence): fill(cache, layer, sequence, 20) for layer in range(2) for sequence in range(3)}
    for (layer, sequence), (keys, values) in stored.items():
        check(cache, keys, values, [3, 19], layer, sequence)


def test_positions_can_be_written_again(engine: Engine) -> None:
    cache = Cache(engine, 20, 1, 1, 4)
    keys, values = fill(cache, 0, 0, 20)
    for position in (5, 6):
        keys[position], values[position] = normal(2, 1, 4, seed=50 + position)
        cache.store(0, 0, position, keys[position], values[position])
    check(cache, keys, values, [5, 6])  # positions from 7 on hold what does not count any more


def test_only_the_rows_asked_for(engine: Engine) -> None:
    cache = Cache(engine, 16, 1, 2, 4)
    fill(cache, 0, 0, 8)
    output = cache.attend(0, 0, normal(4, 1, 2, 4), [4, 5, 6, 7], 1, 3, 0)
    assert (output[[0, 3]] == 5).all()
    assert (output[[1, 2]] != 5).all()


def test_zeros_stay_zero(engine: Engine) -> None:
    for kind in CACHE_TYPES:
        cache = Cache(engine, 16, 1, 1, 4, kind=kind)
        zeros = np.zeros((1, 4), np.float32)
        cache.store(0, 0, 0, zeros, zeros)
        assert not cache.attend(0, 0, normal(1, 1, 1, 4), [0], 0, 1, 0).any()


def test_equal_keys_give_the_mean_of_the_values(engine: Engine) -> None:
    cache = Cache(engine, 16, 1, 1, 4)
    values = normal(5, 1, 4)
    for position in range(5):
        cache.store(0, 0, position, np.ones((1, 4), np.float32), values[position])
    output = cache.attend(0, 0, normal(1, 1, 1, 4), [4], 0, 1, 0)
    assert_close(output[0, 0, 0], values.astype(np.float64).mean(axis=0)[0], ELEMENTWISE * np.abs(values).max())
