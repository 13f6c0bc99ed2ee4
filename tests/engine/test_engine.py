"""The forward pass of every engine against the reference, on small random models read from GGUF files by the host.

To add a case: a type in `TYPES`, or a configuration for `tiny`; how exact results must be stands in
tests/support/engines.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blocks import ggml
from engines import CACHE_NMSE, QUANTIZED_NMSE, ROUNDING, Floats, assert_forward, load_tiny, nmse
from tiny_models import dequantized, random_tensors, tiny_config, write_gguf

from pyllama3.analysis.reference import Record, ReferenceModel, llama3_rope_factors, rope_frequencies
from pyllama3.backends import Engine
from pyllama3.config import CACHE_TYPES, PRECISIONS, CacheType, Precision, RopeStyle
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.runtime.state import BATCH, State
from pyllama3.weights import TensorType, load_weights

TYPES = [type for type in TensorType if type.block_size in (1, 32) and type != TensorType.IQ4_NL]
"""Those of whole blocks of 32 that `gguf` can quantize to."""
LOW_BIT_TYPES = [type for type in TensorType if type.name.startswith(("IQ1", "IQ2", "IQ3", "TQ"))]
IDS = [257, 7, 104, 0, 287, 7, 33, 33, 190, 12, 5]


def tiny(
    engine: Engine,
    path: Path,
    type: TensorType = TensorType.F32,
    *,
    tied: bool = False,
    threads: int = 1,
    precision: Precision = "exact",
    cache_type: CacheType | None = None,
    **overrides: Any,
) -> tuple[EngineModel, ReferenceModel]:
    config = tiny_config(**overrides)
    tensors = random_tensors(config, 6, tied=tied)
    options: Any = {"threads": threads, "precision": precision, "cache_type": cache_type}
    return load_tiny(engine, path / "tiny.gguf", config, tensors, type, **options)


def fill(
    state: State,
    tokens: Sequence[int],
    positions: Sequence[int] | range,
    sequences: Sequence[int] | int = 0,
    logit_rows: Sequence[int] = (),
) -> int:
    """Describe a batch; return how many rows it has."""
    rows = len(tokens)
    state.tokens[:rows] = tokens
    state.positions[:rows] = positions
    state.sequence_ids[:rows] = sequences
    state.logit_rows[: len(logit_rows)] = logit_rows
    return rows


def residual(state: State, rows: int) -> Floats:
    """Return the residual stream (rows, dim), to be read and written."""
    dim = state.model.config.dim
    return state.buffer("RESIDUAL")[: rows * dim].reshape(rows, dim)


# whole passes


@pytest.mark.parametrize("type", TYPES)
def test_every_type(engine: Engine, tmp_path: Path, type: TensorType) -> None:
    check_logits(*tiny(engine, tmp_path, type))


@pytest.mark.parametrize("type", LOW_BIT_TYPES)
def test_types_of_one_to_three_bits(engine: Engine, tmp_path: Path, type: TensorType) -> None:
    check_logits(*tiny(engine, tmp_path, type, dim=256, hidden_dim=256, heads=4, kv_heads=4, head_dim=64, layers=1))


@pytest.mark.parametrize("type", [TensorType.F32, TensorType.Q4_0])
def test_tied_embeddings(engine: Engine, tmp_path: Path, type: TensorType) -> None:
    check_logits(*tiny(engine, tmp_path, type, tied=True))


@pytest.mark.parametrize("cache_type", CACHE_TYPES)
def test_cache_types(engine: Engine, tmp_path: Path, cache_type: CacheType) -> None:
    model, reference = tiny(engine, tmp_path, cache_type=cache_type)
    check_rounded(model, reference, CACHE_NMSE[cache_type])


@pytest.mark.parametrize("type", [TensorType.F32, TensorType.Q8_0, TensorType.Q4_0, TensorType.Q4_1, TensorType.Q5_1])
@pytest.mark.parametrize("precision", ["default", "fast"])
def test_quantized_activations(engine: Engine, tmp_path: Path, type: TensorType, precision: Precision) -> None:
    model, reference = tiny(engine, tmp_path, type, precision=precision, cache_type="f32")
    bits = model.activation_bits if type.block_size > 1 else 32
    check_rounded(model, reference, QUANTIZED_NMSE[bits])


def test_what_a_precision_means(engine: Engine, tmp_path: Path) -> None:
    found = {}
    for precision in PRECISIONS:
        model, _ = tiny(engine, tmp_path, precision=precision)
        found[precision] = (model.activation_bits, model.cache_type)
    fast = 8 if engine.Activations.get_max_byte() else 16
    expected = {"exact": (32, "f32"), "default": (16, "f16"), "fast": (fast, "f16")}
    if not engine.packs:  # as floats they are as fast
        expected = {precision: (32, kind) for precision, (_, kind) in expected.items()}
    assert found == expected


def check_rounded(model: EngineModel, reference: ReferenceModel, allowed: float) -> None:
    """Compare the logits of a batch, and of a step after it, which are not exact either."""
    session, cache = Session(model, context=64), reference.cache()
    batch_error = nmse(session.feed(IDS, all_logits=True), reference.forward(IDS, cache))
    step_error = nmse(session.feed([3]), reference.forward([3], cache)[0])
    assert allowed / 1e5 < batch_error < allowed
    assert allowed / 1e5 < step_error < allowed


@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (4, 4), (4, 2), (8, 2), (6, 1)])
def test_grouped_query_attention(engine: Engine, tmp_path: Path, heads: int, kv_heads: int) -> None:
    check_logits(*tiny(engine, tmp_path, heads=heads, kv_heads=kv_heads))


@pytest.mark.parametrize("style", RopeStyle)
@pytest.mark.parametrize("factors", [None, tuple(llama3_rope_factors(16, 10000, 8, old_context=32))])
def test_rope(engine: Engine, tmp_path: Path, style: RopeStyle, factors: tuple[float, ...] | None) -> None:
    assert factors is None or 1 < len(set(factors)) < len(factors)  # some frequencies stay, some are stretched
    check_logits(*tiny(engine, tmp_path, rope_style=style, rope_factors=factors))


@pytest.mark.parametrize(
    "shape",
    [
        {"heads": 3, "kv_heads": 3, "head_dim": 32},  # heads wider than the residual stream
        {"heads": 2, "kv_heads": 1, "head_dim": 16},  # and narrower
        {"dim": 32, "hidden_dim": 32, "layers": 1},
        {"dim": 288, "hidden_dim": 544, "layers": 1},  # more columns than are expanded at a time
        {"layers": 5},
        {"vocab_size": 301},  # rows left over from tiles and from packing
        {"norm_eps": 0.1},
        {"rope_theta": 500000.0},
    ],
    ids=str,
)
def test_shapes(engine: Engine, tmp_path: Path, shape: dict[str, Any]) -> None:
    check_logits(*tiny(engine, tmp_path, TensorType.Q8_0, **shape))


def test_a_type_of_its_own_for_each_matrix(engine: Engine, tmp_path: Path) -> None:
    config, path = tiny_config(), tmp_path / "mixed.gguf"
    tensors = random_tensors(config, 6)
    types = {name: TYPES[n % len(TYPES)] for n, name in enumerate(tensors)}
    write_gguf(path, config, tensors, {name: ggml(type) for name, type in types.items()})
    weights = load_weights(path)
    assert len({tensor.type for tensor in weights.tensors.values()}) == len(TYPES)
    check_logits(EngineModel(engine, weights, threads=1, precision="exact"), ReferenceModel(config, dequantized(path)))


def check_logits(model: EngineModel, reference: ReferenceModel) -> None:
    """Compare the logits of a batch, and of a step after it."""
    session, cache = Session(model, context=model.config.context), reference.cache()
    assert_forward(session.feed(IDS, all_logits=True), reference.forward(IDS, cache))
    assert_forward(session.feed([3]), reference.forward([3], cache)[0])


def test_the_engines_agree(both_engines: tuple[Engine, Engine], tmp_path: Path) -> None:
    results = []
    for engine in both_engines:
        model, _ = tiny(engine, tmp_path, TensorType.Q4_1)
        results.append(Session(model, context=64).feed(IDS, all_logits=True))
    assert_forward(results[0], results[1])
    np.testing.assert_array_equal(results[0].argmax(axis=1), results[1].argmax(axis=1))


# stages


def test_stage_by_stage(engine: Engine, tmp_path: Path) -> None:
    model, reference = tiny(engine, tmp_path, TensorType.Q8_0, heads=4, kv_heads=2, head_dim=32)
    record: Record = {}
    reference.forward(IDS, reference.cache(), record)
    state = State(model, context=16, batch=len(IDS))
    rows = fill(state, IDS, range(len(IDS)), logit_rows=range(len(IDS)))

    def check(buffer: str, name: str) -> None:
        expected = record[name].reshape(rows, -1)
        assert_forward(state.buffer(buffer)[: expected.size].reshape(expected.shape), expected)

    state.core.prepare(rows)
    state.core.embed(rows)
    np.testing.assert_array_equal(residual(state, rows), record["token_embd"])
    for layer in range(model.config.layers):
        state.core.attention_branch(layer, rows)
        check("NORMED", f"blk.{layer}.attn_norm")
        check("QUERY", f"blk.{layer}.q_rope")
        check("KEY", f"blk.{layer}.k_rope")
        check("VALUE", f"blk.{layer}.v")
        check("ATTENTION", f"blk.{layer}.values")
        check("UPDATE", f"blk.{layer}.attn_output")
        check("RESIDUAL", f"blk.{layer}.attn_residual")
        state.core.feed_forward_branch(layer, rows)
        check("NORMED", f"blk.{layer}.ffn_norm")
        check("UP", f"blk.{layer}.up")
        check("GATE", f"blk.{layer}.swiglu")
        check("UPDATE", f"blk.{layer}.down")
        check("RESIDUAL", f"blk.{layer}.ffn_residual")
    state.core.head(rows)
    check("NORMED", "output_norm")
    check("LOGITS", "output")


def test_the_stages_are_the_forward_pass(engine: Engine, tmp_path: Path) -> None:
    model, _ = tiny(engine, tmp_path)
    whole, staged = State(model, context=16), State(model, context=16)
    for state in (whole, staged):
        rows = fill(state, IDS, range(len(IDS)), logit_rows=[len(IDS) - 1])
    logits = whole.forward(rows, 1)
    staged.core.prepare(rows)
    staged.core.embed(rows)
    for layer in range(model.config.layers):
        staged.core.run_layer(layer, rows)
    staged.core.head(1)
    np.testing.assert_array_equal(staged.buffer("LOGITS")[: logits.size], logits[0])


def test_the_residual_stream_can_be_written_between_stages(engine: Engine, tmp_path: Path) -> None:
    model, reference = tiny(engine, tmp_path)
    x = np.random.default_rng(8).normal(size=(4, model.config.dim)).astype(np.float32)
    state = State(model, context=16)
    rows = fill(state, [0] * 4, range(4), logit_rows=range(4))
    state.core.prepare(rows)
    residual(state, rows)[:] = x
    state.core.run_layer(1, rows)
    expected = reference.layer(1, np.float64(x), reference.cache())
    assert_forward(residual(state, rows), expected)
    residual(state, rows)[:] = 2 * x
    state.core.head(rows)
    vocab_size = model.config.vocab_size
    assert_forward(state.buffer("LOGITS")[: rows * vocab_size].reshape(rows, -1), reference.head(2 * np.float64(x)))


def test_one_engine_continues_what_another_began(both_engines: tuple[Engine, Engine], tmp_path: Path) -> None:
    states = []
    for engine in both_engines:
        model, reference = tiny(engine, tmp_path, TensorType.Q4_0)
        state = State(model, context=16)
        rows = fill(state, IDS, range(len(IDS)), logit_rows=range(len(IDS)))
        state.core.prepare(rows)
        states.append(state)
    first, second = states
    first.core.embed(rows)
    first.core.run_layer(0, rows)
    residual(second, rows)[:] = residual(first, rows)
    second.core.run_layer(1, rows)
    second.core.head(rows)
    logits = second.buffer("LOGITS")[: rows * model.config.vocab_size].reshape(rows, -1)
    assert_forward(logits, reference.forward(IDS, reference.cache()))


@pytest.mark.parametrize("factors", [None, (1.0, 1.0, 1.5, 2.25, 3.0, 8.0, 8.0, 8.0)])
def test_rotations_are_exact_at_all_positions(
    engine: Engine, tmp_path: Path, factors: tuple[float, ...] | None
) -> None:
    model, _ = tiny(engine, tmp_path, rope_theta=500000.0, rope_factors=factors)
    state = State(model, context=16)
    positions = [0, 1, 2, 4095, 131071]
    state.core.prepare(fill(state, [0] * 5, positions))
    angles = np.outer(positions, rope_frequencies(16, 500000.0, factors))
    for buffer, expected in (("COSINES", np.cos(angles)), ("SINES", np.sin(angles))):
        actual = state.buffer(buffer)[: angles.size].reshape(angles.shape)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2 * ROUNDING)


# batches


@pytest.mark.parametrize("type", [TensorType.F32, TensorType.Q4_1])
def test_stepping_equals_a_batch(engine: Engine, tmp_path: Path, type: TensorType) -> None:
    model, _ = tiny(engine, tmp_path, type)
    batch = Session(model, context=64).feed(IDS, all_logits=True)
    session = Session(model, context=64)
    steps = [session.feed(part, all_logits=True) for part in (IDS[:1], IDS[1:2], IDS[2:4], IDS[4:9], IDS[9:])]
    assert_forward(np.concatenate(steps), batch)


def test_sequences_interleaved_in_one_batch(engine: Engine, tmp_path: Path) -> None:
    model, reference = tiny(engine, tmp_path)
    state = State(model, context=9, sequences=3, batch=8)
    ids = np.random.default_rng(3).integers(0, 288, (3, 9))
    caches = [reference.cache() for _ in range(3)]
    held = [0, 0, 0]
    for sequences in ([0, 2, 0, 2, 1, 0], [2, 1, 0], [1], [0, 1, 2, 0, 1, 2], [2, 2, 1, 1, 0, 0, 1]):
        positions = []
        for sequence in sequences:
            positions.append(held[sequence])
            held[sequence] += 1
        rows = len(sequences)
        fill(state, ids[sequences, positions].tolist(), positions, sequences, logit_rows=range(rows))
        logits = state.forward(rows, rows)
        for sequence in set(sequences):
            own = np.equal(sequences, sequence)
            fed = ids[sequence, np.array(positions)[own]].tolist()
            assert_forward(logits[own], reference.forward(fed, caches[sequence]))


@pytest.mark.parametrize("wanted", [[], [4], [0, 3], [3, 0, 1], [0, 1, 2, 3, 4]])
def test_logits_only_for_the_rows_that_ask(engine: Engine, tmp_path: Path, wanted: list[int]) -> None:
    model, reference = tiny(engine, tmp_path, tied=True)
    state = State(model, context=16, batch=6)
    fill(state, IDS[:5], range(5), logit_rows=wanted)
    state.buffer("LOGITS")[:] = 77
    logits = state.forward(5, len(wanted))
    assert logits.shape == (len(wanted), model.config.vocab_size)
    if wanted:
        assert_forward(logits, reference.forward(IDS[:5], reference.cache())[wanted])
    assert (state.buffer("LOGITS")[logits.size :] == 77).all()


def test_a_prompt_of_more_than_one_batch(engine: Engine, tmp_path: Path) -> None:
    length = BATCH + 5
    model, reference = tiny(engine, tmp_path, TensorType.Q8_0, layers=1, dim=32, hidden_dim=32, context=length)
    ids = np.random.default_rng(2).integers(0, 288, length).tolist()
    expected = reference.forward(ids, reference.cache())
    assert_forward(Session(model, context=length).feed(ids, all_logits=True), expected)
    assert_forward(Session(model, context=length).feed(ids), expected[-1])


def test_a_full_context_is_used_to_its_last_position(engine: Engine, tmp_path: Path) -> None:
    model, reference = tiny(engine, tmp_path)
    session = Session(model, context=len(IDS))
    session.feed(IDS[:-1])
    assert_forward(session.feed(IDS[-1:]), reference.forward(IDS, reference.cache())[-1])


def test_a_rewound_session_continues_like_a_fresh_one(engine: Engine, tmp_path: Path) -> None:
    model, _ = tiny(engine, tmp_path)
    session, fresh = Session(model, context=16), Session(model, context=16)
    session.feed(IDS[:3])
    session.feed([9, 9, 9, 9])
    session.rewind(3)
    fresh.feed(IDS[:3])
    np.testing.assert_array_equal(session.feed(IDS[3:]), fresh.feed(IDS[3:]))


def test_sessions_of_one_model_do_not_disturb_each_other(engine: Engine, tmp_path: Path) -> None:
    model, reference = tiny(engine, tmp_path)
    one, other = Session(model, context=16), Session(model, context=16)
    one.feed(IDS[:4])
    other.feed([5, 5])
    assert_forward(one.feed(IDS[4:]), reference.forward(IDS, reference.cache())[-1])
    assert_forward(other.feed([6]), reference.forward([5, 5, 6], reference.cache())[-1])
