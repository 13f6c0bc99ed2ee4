"""The witnesses against truth: papers, published tables, identities and an independent oracle on a real model.

To add a case: a formula of the reference with numbers from a paper, or worked out by hand; never from the engine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from paths import DATA
from reference_sampler import Xorshift128, distribution, draw, min_p, penalize, top_k, top_p
from tiny_models import dequantized, random_tensors, tiny_config, write_gguf
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from pyllama3.analysis.reference import (
    Array,
    Record,
    ReferenceModel,
    attention,
    half_split_rows,
    llama3_rope_factors,
    rms_norm,
    rope,
    rope_frequencies,
    silu,
    softmax,
)
from pyllama3.config import ModelConfig, RopeStyle

ORACLE = DATA / "smollm2_greedy.json"


def tiny_model(seed: int = 1, *, tied: bool = False, **overrides: Any) -> ReferenceModel:
    config = tiny_config(**overrides)
    tensors = random_tensors(config, seed, tied=tied)
    return ReferenceModel(config, {name: array.astype(np.float64) for name, array in tensors.items()})


# operations


@pytest.mark.parametrize(
    ("head_dim", "factor", "unscaled", "between"),
    [
        (128, 8, 29, [1.2075, 1.5534, 2.0263, 2.6945, 3.6843, 5.2573]),
        (64, 32, 15, [1.6513, 3.2923, 9.6667]),
        (128, 32, 29, [1.2349, 1.6513, 2.2767, 3.2923, 5.1716, 9.6667]),
    ],
)
def test_rope_factors_equal_the_published_table(
    head_dim: int, factor: float, unscaled: int, between: list[float]
) -> None:
    stretched = head_dim // 2 - unscaled - len(between)
    expected = [1.0] * unscaled + between + [factor] * stretched
    np.testing.assert_allclose(llama3_rope_factors(head_dim, 500000, factor), expected, rtol=3e-5)


def test_rms_norm_has_root_mean_square_one() -> None:
    normed = rms_norm(np.array([[3.0, 4.0], [30.0, -40.0]]), np.array([1.0, 2.0]), 0)
    root = np.sqrt(12.5)
    np.testing.assert_allclose(normed, [[3 / root, 8 / root], [3 / root, -8 / root]])


def test_softmax_of_known_odds() -> None:
    np.testing.assert_allclose(softmax(np.log([1.0, 2.0, 5.0]) + 1000), [0.125, 0.25, 0.625])


def test_silu_of_known_values() -> None:
    np.testing.assert_allclose(silu(np.log([1.0, 3.0, 1 / 3])), np.log([1.0, 3.0, 1 / 3]) * [0.5, 0.75, 0.25])


@pytest.mark.parametrize(
    ("style", "partner"), [(RopeStyle.INTERLEAVED, {0: 1, 2: 3}), (RopeStyle.HALF_SPLIT, {0: 2, 1: 3})]
)
def test_rope_turns_each_pair_as_a_complex_number(style: RopeStyle, partner: dict[int, int]) -> None:
    x = np.random.default_rng(2).normal(size=(3, 2, 4))
    positions, frequencies = np.array([0, 5, 9]), np.array([1.0, 0.01])
    turned = rope(x, positions, frequencies, style)
    for frequency, (real, imaginary) in zip(frequencies, partner.items(), strict=True):
        pair = (x[..., real] + 1j * x[..., imaginary]) * np.exp(1j * positions * frequency)[:, None]
        np.testing.assert_allclose(turned[..., real] + 1j * turned[..., imaginary], pair)


def test_rope_frequencies_start_at_one_and_are_divided() -> None:
    np.testing.assert_allclose(rope_frequencies(4, 10000), [1, 0.01])
    np.testing.assert_allclose(rope_frequencies(4, 10000, (1, 8)), [1, 0.00125])


def test_half_split_rows_lists_even_rows_first() -> None:
    rows = np.arange(16.0)[:, None]  # two heads of 8
    assert half_split_rows(rows, 2).ravel().tolist() == [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15]


def test_attention_is_the_mean_over_the_past_one_query_at_a_time() -> None:
    rng = np.random.default_rng(3)
    q, keys, values = rng.normal(size=(2, 4, 8)), rng.normal(size=(5, 2, 8)), rng.normal(size=(5, 2, 8))
    output = attention(q, keys, values, np.array([3, 4]))
    for token, position in enumerate([3, 4]):
        for head in range(4):
            past = slice(position + 1)
            odds = np.exp(keys[past, head // 2] @ q[token, head] / np.sqrt(8))
            expected = odds @ values[past, head // 2] / odds.sum()
            np.testing.assert_allclose(output[token, head], expected)


# the model


def test_half_split_rope_on_permuted_rows_equals_interleaved_rope() -> None:
    interleaved = tiny_model(rope_factors=tuple(llama3_rope_factors(16, 10000, 8)))
    config, tensors = interleaved.config, dict(interleaved.tensors)
    for layer in range(config.layers):
        for name, heads in (("attn_q", config.heads), ("attn_k", config.kv_heads)):
            tensors[f"blk.{layer}.{name}.weight"] = half_split_rows(tensors[f"blk.{layer}.{name}.weight"], heads)
    half_split = ReferenceModel(tiny_config(rope_factors=config.rope_factors, rope_style=RopeStyle.HALF_SPLIT), tensors)
    ids = list(range(20))
    np.testing.assert_allclose(
        half_split.forward(ids, half_split.cache()), interleaved.forward(ids, interleaved.cache()), atol=1e-12
    )


def test_stepping_equals_a_batch() -> None:
    model = tiny_model()
    ids = [7, 1, 280, 7, 33, 90, 2, 2]
    batch = model.forward(ids, model.cache())
    cache = model.cache()
    steps = np.concatenate([model.forward(part, cache) for part in (ids[:1], ids[1:2], ids[2:7], ids[7:])])
    np.testing.assert_allclose(steps, batch, atol=1e-12)


def test_a_rewound_sequence_continues_like_a_fresh_one() -> None:
    model = tiny_model()
    cache = model.cache()
    model.forward([1, 2, 3, 4, 5], cache)
    cache.rewind(2)
    assert cache.position == 2
    np.testing.assert_allclose(model.forward([9], cache)[-1], model.forward([1, 2, 9], model.cache())[-1], atol=1e-12)


def test_grouped_query_attention_equals_full_attention_with_repeated_kv() -> None:
    grouped = tiny_model(heads=6, kv_heads=2)
    config = tiny_config(heads=6, kv_heads=6)
    tensors = dict(grouped.tensors)
    for name in list(tensors):
        if ".attn_k." in name or ".attn_v." in name:
            per_head = tensors[name].reshape(2, config.head_dim, config.dim)
            tensors[name] = per_head.repeat(3, axis=0).reshape(config.kv_dim, config.dim)
    full = ReferenceModel(config, tensors)
    ids = [5, 6, 7, 8]
    np.testing.assert_allclose(full.forward(ids, full.cache()), grouped.forward(ids, grouped.cache()), atol=1e-12)


def test_an_untied_model_uses_its_output_matrix() -> None:
    model = tiny_model()
    output = model.tensors["output.weight"]
    doubled = ReferenceModel(model.config, {**model.tensors, "output.weight": 2 * output})
    x = np.random.default_rng(5).normal(size=(3, 64))
    np.testing.assert_allclose(doubled.head(x), 2 * model.head(x))
    normed = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-5) * model.tensors["output_norm.weight"]
    np.testing.assert_allclose(model.head(x)[2, 7], normed[2] @ output[7])


def test_a_tied_model_uses_the_embedding_as_output() -> None:
    tied = tiny_model(tied=True)
    untied = ReferenceModel(tied.config, {**tied.tensors, "output.weight": tied.tensors["token_embd.weight"]})
    np.testing.assert_array_equal(tied.forward([1, 2], tied.cache()), untied.forward([1, 2], untied.cache()))


def test_the_record_holds_every_stage_and_changes_nothing() -> None:
    model = tiny_model(layers=1)
    record: Record = {}
    cache = model.cache()
    model.forward([1, 2, 3], cache)
    logits = model.forward([4, 5], cache, record)
    shapes = {name: array.shape for name, array in record.items()}
    assert shapes == {
        "token_embd": (2, 64),
        "blk.0.attn_norm": (2, 64),
        "blk.0.q": (2, 4, 16),
        "blk.0.k": (2, 2, 16),
        "blk.0.v": (2, 2, 16),
        "blk.0.q_rope": (2, 4, 16),
        "blk.0.k_rope": (2, 2, 16),
        "blk.0.scores": (2, 4, 5),
        "blk.0.probabilities": (2, 4, 5),
        "blk.0.values": (2, 4, 16),
        "blk.0.attn_output": (2, 64),
        "blk.0.attn_residual": (2, 64),
        "blk.0.ffn_norm": (2, 64),
        "blk.0.gate": (2, 96),
        "blk.0.up": (2, 96),
        "blk.0.swiglu": (2, 96),
        "blk.0.down": (2, 64),
        "blk.0.ffn_residual": (2, 64),
        "output_norm": (2, 64),
        "output": (2, 288),
    }
    np.testing.assert_array_equal(record["output"], logits)
    np.testing.assert_allclose(logits, model.forward([1, 2, 3, 4, 5], model.cache())[3:], atol=1e-12)


def test_the_stages_of_a_layer_fit_together() -> None:
    model = tiny_model()
    record: Record = {}
    model.forward([1, 2, 3, 4, 5], model.cache(), record)
    stage = {name.removeprefix("blk.1."): array for name, array in record.items()}
    own_scores = np.einsum("thd,thd->th", stage["q"], stage["k"].repeat(2, axis=1)) / 4  # same position: no rotation
    np.testing.assert_allclose(np.einsum("tht->th", stage["scores"]), own_scores)
    np.testing.assert_allclose(stage["attn_residual"], record["blk.0.ffn_residual"] + stage["attn_output"])
    np.testing.assert_allclose(stage["swiglu"], silu(stage["gate"]) * stage["up"])
    np.testing.assert_allclose(stage["ffn_residual"], stage["attn_residual"] + stage["down"])


# tiny models


@pytest.mark.parametrize(
    ("kind", "error"), [("F32", 0), ("F16", 5e-4), ("BF16", 4e-3), ("Q8_0", 6e-3), ("Q4_0", 0.09), ("Q4_1", 0.09)]
)
def test_a_tiny_file_holds_the_tensors_in_the_type_asked_for(tmp_path: Path, kind: str, error: float) -> None:
    factors = tuple(llama3_rope_factors(16, 10000, 8))
    config = tiny_config(rope_factors=factors)
    tensors = random_tensors(config, 4)
    path = tmp_path / "tiny.gguf"
    write_gguf(path, config, tensors, GGMLQuantizationType[kind])
    stored = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(path).tensors}
    read = dequantized(path)
    np.testing.assert_array_equal(read.pop("rope_freqs.weight"), np.array(factors, np.float32))
    assert read.keys() == tensors.keys()
    for name, array in tensors.items():
        assert stored[name] == (kind if array.ndim == 2 else "F32")
        rms = np.sqrt(np.mean((read[name] - array) ** 2) / np.mean(array.astype(np.float64) ** 2))
        assert rms <= (error if array.ndim == 2 else 0)


def test_types_can_be_given_per_tensor(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    config = tiny_config()
    write_gguf(path, config, random_tensors(config, 4), {"blk.1.attn_q.weight": GGMLQuantizationType.Q8_0})
    types = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(path).tensors}
    assert {name for name, kind in types.items() if kind != "F32"} == {"blk.1.attn_q.weight"}
    assert types["blk.1.attn_q.weight"] == "Q8_0"


def test_the_toy_vocabulary_encodes_and_merges(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    config = tiny_config()
    write_gguf(path, config, random_tensors(config, 4))
    fields = {name: field.contents() for name, field in GGUFReader(path).fields.items()}
    tokens = fields["tokenizer.ggml.tokens"]
    assert len(set(tokens)) == config.vocab_size
    assert tokens[fields["tokenizer.ggml.bos_token_id"]] == "<|begin_of_text|>"
    assert tokens[fields["tokenizer.ggml.eos_token_id"]] == "<|eot_id|>"

    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(BPE({token: id for id, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    for character in map(chr, range(0x100)):
        assert tokenizer.encode(character).ids == ([268] if character == "é" else list(character.encode()))
    assert tokenizer.encode("hello world the é\n\n").ids == [259, 264, 266, 32, 268, 267]


# the sampler


def test_xorshift128_gives_the_sequence_of_the_paper() -> None:
    generator = Xorshift128(123456789, 362436069, 521288629, 88675123)  # the defaults of xor128 in the paper
    expected = [3701687786, 458299110, 2500872618, 3633119408, 516391518]
    assert [generator.next_word() for _ in expected] == expected


def test_uniform_numbers_fill_the_unit_interval() -> None:
    generator = Xorshift128.seeded(42)
    numbers = [generator.uniform() for _ in range(20000)]
    assert min(numbers) >= 0
    assert max(numbers) < 1
    counts = np.histogram(numbers, bins=10, range=(0, 1))[0]
    assert np.abs(counts - 2000).max() < 200  # about 4.7 standard deviations


def test_a_seed_fills_the_state_and_discards_16_words() -> None:
    # the outputs after 0 that Numerical Recipes (2nd edition, section 7.1) prints for this congruential generator
    generator = Xorshift128(0x3C6EF35F, 0x47502932, 0xD1CCF6E9, 0xAAF95334)
    for _ in range(16):
        generator.next_word()
    assert Xorshift128.seeded(0).state == generator.state


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 2), (1, 1 + (1 << 32)), (5, 5 + (1 << 63))])
def test_seeds_differ_in_all_64_bits(one: int, other: int) -> None:
    assert Xorshift128.seeded(one).next_word() != Xorshift128.seeded(other).next_word()


PROBABILITIES = np.array([0.1, 0.4, 0.05, 0.25, 0.2])


@pytest.mark.parametrize(
    ("kept", "survivors"),
    [
        (top_k(PROBABILITIES, 2), [1, 3]),
        (top_k(PROBABILITIES, 0), [0, 1, 2, 3, 4]),
        (top_k(PROBABILITIES, 9), [0, 1, 2, 3, 4]),
        (top_k(np.full(4, 0.25), 2), [0, 1]),
        (top_p(PROBABILITIES, 0.4), [1]),
        (top_p(PROBABILITIES, 0.41), [1, 3]),
        (top_p(PROBABILITIES, 0.9), [1, 3, 4, 0]),
        (top_p(PROBABILITIES, 1.0), [0, 1, 2, 3, 4]),
        (top_p(PROBABILITIES, 0.0), [1]),
        (min_p(PROBABILITIES, 0.5), [1, 3, 4]),
        (min_p(PROBABILITIES, 1.0), [1]),
        (min_p(PROBABILITIES, 0.0), [0, 1, 2, 3, 4]),
    ],
)
def test_filters_keep_and_renormalise(kept: Array, survivors: list[int]) -> None:
    assert np.flatnonzero(kept).tolist() == sorted(survivors)
    assert kept.sum() == pytest.approx(1)
    if len(kept) == len(PROBABILITIES):
        np.testing.assert_allclose(kept[survivors] / kept.max(), PROBABILITIES[survivors] / PROBABILITIES.max())


def test_penalty_lowers_each_distinct_id_of_the_window_once() -> None:
    penalized = penalize(np.array([2.0, -2.0, 0.0, 1.0]), [0, 1, 0, 2], 2)
    assert penalized.tolist() == [1, -4, 0, 1]


def test_stages_see_the_survivors_of_the_stage_before() -> None:
    logits = np.log([0.4, 0.3, 0.2, 0.1])
    # of the two survivors of top-k the first has 4/7 > 0.55, though it has only 0.4 of all
    np.testing.assert_allclose(distribution(logits, temperature=1, k=2, p=0.55), [1, 0, 0, 0])
    # doubling the temperature takes the square root of the odds: min-p 0.6 then keeps three
    odds = np.sqrt([4, 3, 2, 0])
    np.testing.assert_allclose(distribution(logits, temperature=2, minimum=0.6), odds / odds.sum())


def test_draw_walks_down_from_the_most_probable() -> None:
    uniforms = (0, 0.399, 0.401, 0.649, 0.651, 0.849, 0.851, 0.951, 1 - 2**-24)
    assert [draw(PROBABILITIES, uniform) for uniform in uniforms] == [1, 1, 3, 3, 4, 4, 0, 2, 2]
    assert draw(np.array([0.0, 0.5, 0.5]), 0.5) == 2
    assert draw(np.array([0.0, 0.999, 0.0]), 0.9999) == 1


# a real model


@pytest.fixture(scope="module")
def smollm2(smollm2_path: Path) -> ReferenceModel:
    config = ModelConfig(
        name="SmolLM2-135M-Instruct",
        dim=576,
        layers=30,
        heads=9,
        kv_heads=3,
        head_dim=64,
        hidden_dim=1536,
        vocab_size=49152,
        context=8192,
        norm_eps=1e-5,
        rope_theta=100000.0,
    )
    return ReferenceModel(config, dequantized(smollm2_path))


@pytest.mark.parametrize("index", range(3))
def test_smollm2_gives_the_logits_and_tokens_of_the_oracle(smollm2: ReferenceModel, index: int) -> None:
    case = json.loads(ORACLE.read_text())["cases"][index]
    cache = smollm2.cache()
    logits = smollm2.forward(case["prompt_ids"], cache)[-1]
    ids, values = zip(*case["first_top10"], strict=True)
    assert np.argsort(-logits)[:10].tolist() == list(ids)
    np.testing.assert_allclose(logits[list(ids)], values, atol=1e-3)
    assert np.std(logits) == pytest.approx(case["first_std"], abs=1e-3)
    greedy = [int(np.argmax(logits))]
    while len(greedy) < 3:
        greedy.append(int(np.argmax(smollm2.forward(greedy[-1:], cache))))
    assert greedy == case["greedy"][:3]
