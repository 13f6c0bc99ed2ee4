"""Hugging Face directories against what transformers and tokenizers make of them.

To add a case: a change of config.json, of a tensor or of tokenizer.json, with the line that refuses it.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from damage import assert_any_values, assert_errors_only, failure, is_mapped
from gguf_files import CHATML_SPECIAL, vocabulary
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors_files import CHECKPOINTS, change_json, copied, write_safetensors
from variants_hf import sentencepiece_model

from pyllama3.config import RopeStyle
from pyllama3.errors import TemplateError, TokenizerError
from pyllama3.tokenizer.chat_template import find_template
from pyllama3.tokenizer.tokenizer import Tokenizer
from pyllama3.tokenizer.vocabulary import gguf_metadata, read_gguf_vocabulary
from pyllama3.tokenizer.vocabulary.byte_level import merges_by_id
from pyllama3.tokenizer.vocabulary.huggingface import read_huggingface_vocabulary
from pyllama3.tokenizer.vocabulary.meta import read_tokenizer_model
from pyllama3.weights import TensorType, load_weights
from pyllama3.weights.formats.safetensors import read_safetensors
from pyllama3.weights.rope import Llama3Scaling

TIED, SHARDED = "huggingface-tied-bf16", "huggingface-sharded-f32"


@pytest.fixture
def tied(tmp_path: Path) -> Path:
    return copied(TIED, tmp_path)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    return copied(SHARDED, tmp_path)


def rewrite(directory: Path, changes: dict[str, Any]) -> None:
    """Write model.safetensors again as F32, with some tensors changed, or removed by None."""
    path = directory / "model.safetensors"
    arrays: dict[str, Any] = {name: tensor.dequantize() for name, tensor in read_safetensors(path).items()} | changes
    write_safetensors(path, {name: array for name, array in arrays.items() if array is not None})


# configuration


def test_config(tied: Path) -> None:
    weights = load_weights(tied)
    config = weights.config
    assert (config.dim, config.layers, config.heads, config.kv_heads, config.head_dim) == (32, 2, 4, 2, 16)
    assert (config.hidden_dim, config.vocab_size, config.context, config.norm_eps) == (48, 305, 256, 1e-5)
    assert (config.rope_theta, config.rope_style, config.name) == (500000.0, RopeStyle.HALF_SPLIT, TIED)
    assert "output.weight" not in weights.tensors
    assert "output.weight" in load_weights(CHECKPOINTS / SHARDED).tensors
    assert all(is_mapped(tensor.data) for tensor in weights.tensors.values() if len(tensor.shape) == 2)
    assert {t.type for t in weights.tensors.values()} == {TensorType.BF16, TensorType.F32}
    change_json(tied / "config.json", {"head_dim": ..., "num_key_value_heads": ...})
    assert "tensor 'blk.0.attn_q.weight' has shape (64, 32); the metadata asks for (32, 32)" in failure(tied)


def test_both_spellings_of_rope_scaling(sharded: Path) -> None:
    new = load_weights(sharded).config
    assert new.rope_factors is not None
    rope = json.loads((sharded / "config.json").read_text())["rope_parameters"]
    theta = rope.pop("rope_theta")
    old = {"rope_parameters": ..., "rope_theta": theta, "rope_scaling": rope}
    change_json(sharded / "config.json", old)
    assert load_weights(sharded).config == new
    rope["type"] = rope.pop("rope_type")
    change_json(sharded / "config.json", {"rope_scaling": rope})
    assert load_weights(sharded).config == new
    for scaling in (None, {"rope_type": "default"}, {}):
        change_json(sharded / "config.json", {"rope_scaling": scaling})
        assert load_weights(sharded).config.rope_factors is None
    change_json(sharded / "config.json", {"rope_scaling": {"type": "linear", "factor": 2.5}, "rope_theta": ...})
    config = load_weights(sharded).config
    assert (config.rope_factors, config.rope_theta) == ((2.5,) * 4, 10000.0)


def test_factors_of_llama3_scaling() -> None:
    """Published tables; the first of them is 3.1's, and both end with the whole factor."""
    for head_dim, factor, ones, between in [
        (128, 8.0, 29, [1.2075, 1.5534, 2.0263, 2.6945, 3.6843, 5.2573]),
        (64, 32.0, 15, [1.6513, 3.2923, 9.6667]),
        (128, 32.0, 29, [1.2349, 1.6513, 2.2767, 3.2923, 5.1716, 9.6667]),
    ]:
        divisors = Llama3Scaling(factor=factor).divisors(head_dim, 500000.0)
        rest = head_dim // 2 - ones - len(between)
        np.testing.assert_allclose(divisors, [1] * ones + between + [factor] * rest, rtol=5e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architectures": ["MistralForCausalLM"], "model_type": ...},
            "architectures is ['MistralForCausalLM']; allowed: ['LlamaForC",
        ),
        ({"model_type": "mistral"}, "model_type is 'mistral'; allowed: 'llama'"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; allowed: 'silu'"),
        ({"attention_bias": 1}, "attention_bias is 1; allowed: true or false"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config is set; only F32, F16 and BF16"),
        ({"hidden_size": ...}, "tensor 'token_embd.weight' has shape (305, 32); the metadata asks for (305, 4096)"),
        ({"hidden_size": 32.0}, "hidden_size is 32.0; allowed: an integer from 1"),
        ({"vocab_size": 1 << 40}, "vocab_size is 1099511627776; allowed: an integer from 1"),
        ({"vocab_size": 304}, "tensor 'token_embd.weight' has shape (305, 32); the metadata asks for (304, 32)"),
        ({"num_hidden_layers": 2**31 - 1}, "missing tensor 'blk.2.attn_norm.weight'"),
        ({"num_key_value_heads": 3}, "num_key_value_heads is 3; allowed: a divisor of the 4 heads"),
        ({"head_dim": 15}, "the head dimension is 15; it must be even"),
        ({"rms_norm_eps": 0}, "rms_norm_eps is 0; allowed: a positive number"),
        ({"rms_norm_eps": float("inf")}, "rms_norm_eps is inf; allowed: a positive number"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes'; allowed: true or false"),
        ({"tie_word_embeddings": False}, "missing tensor 'lm_head.weight', although tie_word_embeddings is false"),
        ({"rope_parameters": "llama3"}, "rope_parameters is 'llama3'; allowed: an object"),
        ({"rope_parameters": {"rope_type": "other"}}, "rope_parameters has type 'other'; supported: default, linear"),
        ({"rope_parameters": {"rope_type": ["x"]}}, "rope_parameters has type ['x']; supported: default, linear"),
        (
            {"rope_parameters": {"rope_type": "longrope"}},
            "no metadata key 'short_factor'; a list of 8 positive numbers",
        ),
        ({"rope_parameters": {"rope_type": "llama3"}}, "no metadata key 'factor'"),
        ({"rope_parameters": {"rope_type": "linear", "factor": -1}}, "factor is -1; allowed: a positive number"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor is 0.5; allowed: 1.0"),
        (
            {
                "rope_parameters": {
                    "rope_type": "llama3",
                    "factor": 8.0,
                    "low_freq_factor": 4.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 8192,
                }
            },
            "high_freq_factor is 4.0; allowed: more than low_freq_factor, 4.0",
        ),
    ],
)
def test_bad_configs(tied: Path, changes: dict[str, Any], message: str) -> None:
    change_json(tied / "config.json", changes)
    assert message in failure(tied)


# tensors


def test_a_file_stands_for_its_directory(tied: Path, sharded: Path) -> None:
    assert load_weights(tied / "model.safetensors").config == load_weights(tied).config
    by_shard = load_weights(sharded / "model-00002-of-00003.safetensors")
    assert by_shard.tensors.keys() == load_weights(sharded).tensors.keys()


def test_an_output_matrix_of_a_tied_model_is_kept_if_it_is_another(tied: Path) -> None:
    embedding = load_weights(tied).tensors["token_embd.weight"].dequantize()
    rewrite(tied, {"lm_head.weight": embedding})
    assert "output.weight" not in load_weights(tied).tensors
    embedding[-1, -1] += 1
    rewrite(tied, {"lm_head.weight": embedding})
    weights = load_weights(tied)
    np.testing.assert_array_equal(weights.tensors["output.weight"].dequantize(), embedding)
    assert "lm_head.weight: kept, as it is not the embedding that config.json ties it to" in weights.assumed


def test_tensors_that_config_json_does_not_ask_for_are_ignored(tied: Path) -> None:
    bias = {"model.layers.0.self_attn.q_proj.bias": np.ones(64, np.float32)}
    rewrite(tied, bias | {"model.layers.7.mlp.up_proj.weight": np.ones(1, np.float32)})
    weights = load_weights(tied)
    assert weights.tensors.keys() == load_weights(CHECKPOINTS / TIED).tensors.keys()
    assert "tensor blk.0.attn_q.bias and 1 more: ignored, as config.json asks for no such tensor" in weights.assumed
    change_json(tied / "config.json", {"attention_bias": True})
    weights = load_weights(tied)
    assert "blk.0.attn_q.bias" in weights.tensors
    assert "blk.0.attn_k.bias and 6 more: zero, as no file has it" in weights.assumed


def test_names_of_the_base_model(tied: Path) -> None:
    tensors = read_safetensors(tied / "model.safetensors")
    arrays = {name.removeprefix("model."): tensor.dequantize() for name, tensor in tensors.items()}
    write_safetensors(tied / "model.safetensors", arrays)
    assert load_weights(tied).tensors.keys() == load_weights(CHECKPOINTS / TIED).tensors.keys()


def test_half_precision_and_buffers_of_old_files(tied: Path) -> None:
    half = np.ones((48, 32), np.float16)
    frequencies = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(8, np.float32)}
    rewrite(tied, {"model.layers.0.mlp.up_proj.weight": half, **frequencies})
    tensors = load_weights(tied).tensors
    assert tensors["blk.0.ffn_up.weight"].type == TensorType.F16
    assert tensors["blk.0.ffn_up.weight"].name == "blk.0.ffn_up.weight"


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("model.norm.weight", None, "missing tensor 'output_norm.weight'"),
        ("model.layers.1.self_attn.q_proj.weight", None, "missing tensor 'blk.1.attn_q.weight'"),
        ("model.layers.1.self_attn.q_proj.weight", np.ones((2, 2), np.float32), "has shape (2, 2)"),
        ("model.norm.weight", np.ones((1, 32), np.float32), "tensor 'output_norm.weight' has shape (1, 32)"),
        ("model.layers.0.mlp.up_proj.weight", np.ones((48, 32), np.int8), "has type 'I8'; supported: F32, F16, BF16"),
    ],
)
def test_bad_tensors(tied: Path, name: str, array: Any, message: str) -> None:
    rewrite(tied, {name: array})
    assert message in failure(tied)


def test_missing_files(tied: Path, tmp_path: Path) -> None:
    (tied / "model.safetensors").unlink()
    assert failure(tied).startswith(f"{tied / 'model.safetensors'}: no such file, and no pytorch_model.bin")
    alone = Path(shutil.copy(CHECKPOINTS / TIED / "model.safetensors", tmp_path))
    assert failure(alone) == f"{tmp_path / 'config.json'}: No such file or directory"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("../model.safetensors", "is in '../model.safetensors'; allowed: a file of this directory"),
        ("//etc/passwd", "is in '//etc/passwd'; allowed: a file of this directory"),
        ("/etc/passwd", "is in '/etc/passwd'; allowed: a file of this directory"),
        ("sub/../../x", "allowed: a file of this directory"),
        ("..\\x", "allowed: a file of this directory"),
        ("C:x", "allowed: a file of this directory"),
        ("", "is in ''; allowed: a file of this directory"),
        (5, "is in 5; allowed: a file of this directory"),
        ("absent.safetensors", "absent.safetensors: no such file, but model.safetensors.index.json asks for it"),
    ],
)
def test_bad_indexes(sharded: Path, file: Any, message: str) -> None:
    path = sharded / "model.safetensors.index.json"
    files = json.loads(path.read_text())["weight_map"]
    change_json(path, {"weight_map": files | {"model.norm.weight": file}})
    assert message in failure(sharded)


def test_indexes_that_do_not_fit_the_shards(sharded: Path) -> None:
    """What counts is which tensors the shards have; a single file stands before any index."""
    expected = load_weights(sharded).tensors.keys()
    path = sharded / "model.safetensors.index.json"
    files = json.loads(path.read_text())["weight_map"]
    stale = {name: file for name, file in files.items() if name != "model.norm.weight"}
    for weight_map in (files | {"more": files["lm_head.weight"]}, stale):
        change_json(path, {"weight_map": weight_map})
        assert load_weights(sharded).tensors.keys() == expected
    original = path.read_bytes()
    path.unlink()
    assert load_weights(sharded).tensors.keys() == expected
    shard = sharded / "model-00002-of-00003.safetensors"
    shard.rename(sharded / "x")
    assert failure(sharded).startswith(f"{shard}: no such file, but the name of model-00001-of-00003.safetensors asks")
    (sharded / "x").rename(shard)
    path.write_bytes(original)
    for weight_map in ({}, [], ...):
        change_json(path, {"weight_map": weight_map})
        assert "weight_map is missing or not an object" in failure(sharded)


def test_damaged_files_give_errors_only(tied: Path) -> None:
    def load() -> None:
        weights = load_weights(tied)
        weights.load_vocabulary()
        weights.load_templates()

    for name, cuts in [("config.json", 100), ("generation_config.json", 40), ("tokenizer.json", 40)]:
        assert_errors_only(tied / name, load, cuts=cuts, changes=cuts * 2)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        assert_any_values(tied / name, load)
    (tied / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(TemplateError, match=r"chat_template.jinja: not UTF-8 text"):
        load()


# what makes text


def test_templates(tied: Path) -> None:
    weights = load_weights(tied)
    template = find_template(weights.load_templates(), weights.load_vocabulary())
    assert template is not None
    rendered = template.render([{"role": "user", "content": "Hi"}], add_generation_prompt=False)
    assert rendered == "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    (tied / "chat_template.jinja").unlink()
    assert weights.load_templates() == {}
    config = tied / "tokenizer_config.json"
    change_json(config, {"chat_template": "text"})
    assert weights.load_templates() == {"default": "text"}
    change_json(
        config, {"chat_template": [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]}
    )
    assert weights.load_templates() == {"tool_use": "a", "default": "b"}
    change_json(config, {"chat_template": {"a": 1}})
    with pytest.raises(TemplateError, match="chat_template is not text"):
        weights.load_templates()
    config.unlink()
    assert weights.load_templates() == {}
    (tied / "additional_chat_templates").mkdir()
    for name, source in (("chat_template.jinja", "d"), ("additional_chat_templates/tool_use.jinja", "t")):
        (tied / name).write_text(source)
    assert weights.load_templates() == {"default": "d", "tool_use": "t"}


def test_ids_of_special_tokens(tied: Path) -> None:
    def ids() -> tuple[Any, ...]:
        vocabulary = load_weights(tied).load_vocabulary()
        return vocabulary.bos_id, vocabulary.eos_id, vocabulary.add_bos, set(vocabulary.stop_ids)

    assert ids() == (300, 304, True, {301, 304})
    change_json(tied / "generation_config.json", {"eos_token_id": 302})
    assert ids() == (300, 304, True, {301, 302, 304})
    names = {"bos_token": {"content": "<|start_header_id|>"}, "eos_token": "<|end_header_id|>"}
    change_json(tied / "tokenizer_config.json", names)
    assert ids() == (302, 303, False, {301, 302, 303, 304})
    (tied / "tokenizer_config.json").unlink()
    (tied / "generation_config.json").unlink()
    assert ids() == (300, 301, True, {301, 304})
    change_json(tied / "config.json", {"bos_token_id": ..., "eos_token_id": ...})
    assert ids() == (None, None, False, {301, 304})
    change_json(tied / "config.json", {"eos_token_id": 305})
    assert ids() == (None, None, False, {301, 304})
    assert load_weights(tied).load_vocabulary().assumed[0] == "EOS token: none, as 305 is not the id of a token"
    change_json(tied / "config.json", {"eos_token_id": 3.5})
    with pytest.raises(TokenizerError, match=r"tokenizer.json: the EOS token 3.5 is not in the vocabulary"):
        ids()


def contents(name: str = TIED) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((CHECKPOINTS / name / "tokenizer.json").read_text("utf-8"))
    return result


def read(tokenizer: dict[str, Any], vocab_size: int = 305) -> Tokenizer:
    return Tokenizer(read_huggingface_vocabulary(tokenizer, bos=None, eos=None, stop_ids=None, vocab_size=vocab_size))


def smollm() -> dict[str, Any]:
    """tokenizer.json of SmolLM's kind with the toy vocabulary of the GGUF tests; its special tokens come first."""
    metadata = vocabulary(CHATML_SPECIAL, pre="smollm")
    names = metadata["tokenizer.ggml.tokens"]
    names = [*names[-3:], *names[:-3]]
    added = [{"id": id, "content": name, "special": True} for id, name in enumerate(names[:3])]
    steps = [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ]
    model = {"type": "BPE", "vocab": {name: id for id, name in enumerate(names)}}
    model |= {"merges": [merge.split(" ") for merge in metadata["tokenizer.ggml.merges"]]}
    return {"added_tokens": added, "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}, "model": model}


def with_all_options(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Give added tokens the options that Hugging Face's library wants to see."""
    options = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return tokenizer | {"added_tokens": [options | token for token in tokenizer["added_tokens"]]}


LLAMA3_OURS, SMOLLM_OURS = read(contents()), read(smollm(), len(smollm()["model"]["vocab"]))
THEIRS = tokenizers.Tokenizer.from_file(str(CHECKPOINTS / TIED / "tokenizer.json"))
SMOLLM_THEIRS = tokenizers.Tokenizer.from_str(json.dumps(with_all_options(smollm())))

WORDS = ("<|eot_id|>", "<|im_end|>", " the", "The", "model", "1969", "\n\n", "  ", "naïve", "'s", "0000")

texts = st.text() | st.text("the model's numbers 12345 \n\t'éß漢<|>") | st.lists(st.sampled_from(WORDS)).map("".join)


@settings(max_examples=500, deadline=None)
@given(texts)
def test_ids_equal_those_of_tokenizers(text: str) -> None:
    for ours, theirs in [(LLAMA3_OURS, THEIRS), (SMOLLM_OURS, SMOLLM_THEIRS)]:
        assert ours.encode(text, special=True) == theirs.encode(text, add_special_tokens=False).ids
        assert ours.decode(ours.encode(text)) == text


def varied(count: int) -> Iterator[str]:
    rng = random.Random(3)
    for _ in range(count):
        codes = [rng.choice([32, 10, rng.randrange(0x20, 0x7F), rng.randrange(0xA0, 0xD7FF)]) for _ in range(40)]
        yield "".join(map(chr, codes))


def test_the_real_vocabulary_of_llama3(llama3_tokenizer_model: Path) -> None:
    """What the merges, derived from Meta's ranks, are for Hugging Face's library; both spellings are read the same."""
    ours = read_tokenizer_model(llama3_tokenizer_model)
    metadata = gguf_metadata(ours, 128256)
    names, merges = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.merges"]
    assert len(merges) == 280_147
    tokenizer = contents()
    tokenizer["added_tokens"] = [{"id": id, "content": name, "special": True} for name, id in ours.special.items()]
    tokenizer["model"] |= {"vocab": {name: id for id, name in enumerate(names[:128000])}, "merges": merges}
    tokenizer["post_processor"] = None
    theirs = tokenizers.Tokenizer.from_str(json.dumps(with_all_options(tokenizer)))
    read_back = read(tokenizer, 128256)
    by_meta = Tokenizer(ours)
    for text in [*varied(200), "What is 3333+777? Việt jeho<|eot_id|>"]:
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert read_back.encode(text, special=True) == by_meta.encode(text, special=True) == ids
    again = read_gguf_vocabulary(metadata)
    assert list(again.tokens) == list(ours.tokens)
    assert (again.special, again.bos_id, again.stop_ids, again.add_bos) == (
        ours.special,
        ours.bos_id,
        ours.stop_ids,
        True,
    )


def test_merges_of_a_token_are_in_the_order_of_their_parts() -> None:
    tokens = [b"ab", b"ca", b"a", b"b", b"c", b"cab", b"<x>"]
    assert list(merges_by_id(tokens, frozenset({6}))) == ["a b", "c a", "ca b", "c ab"]


def test_user_defined_tokens_and_rows_without_a_token() -> None:
    tokenizer = contents()
    tokenizer["added_tokens"][-1] |= {"content": "<think>", "special": False}
    ours = read(tokenizer, 310)
    assert ours.encode("a<think>b") == [*ours.encode("a"), 304, *ours.encode("b")]
    assert not ours.is_special(304)
    assert (ours.vocab_size, ours.token_name(309), ours.is_special(309)) == (310, "[PAD309]", True)
    assert 309 not in ours.encode("[PAD309]")


def test_a_smollm_vocabulary_goes_to_gguf_and_back() -> None:
    size = len(smollm()["model"]["vocab"])
    ours = read_huggingface_vocabulary(smollm(), bos="<|im_start|>", eos=2, stop_ids=[2], vocab_size=size)
    again = read_gguf_vocabulary(gguf_metadata(ours, size))
    assert vars(again) | {"algorithm": vars(again.algorithm)} == vars(ours) | {"algorithm": vars(ours.algorithm)}
    assert not ours.add_bos


def pre_tokenizer(*steps: Any) -> dict[str, Any]:
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps)}}


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
SPLIT = {"type": "Split", "pattern": {"Regex": r"\s+"}, "behavior": "Isolated", "invert": False}
ADDED = {"id": 304, "content": "<x>", "special": True}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "there is no model"),
        ({"model": {"type": "Unigram"}}, "vocab of the model is missing or not an object"),
        ({"model": {"type": "Unigram", "vocab": [5]}}, "vocab of the model has something that is not a token and"),
        ({"normalizer": {"type": "Nonsense"}}, "the library tokenizers says: "),
        (pre_tokenizer(5), "the library tokenizers says: "),
        ({"added_tokens": "x"}, "added_tokens is not a list"),
        ({"added_tokens": [5]}, "added token 5 has no content"),
        ({"added_tokens": [ADDED | {"id": 1 << 22}]}, "token '<x>' has id 4194304; allowed: 0 to 4194303"),
        ({"added_tokens": [ADDED | {"id": True}]}, "token '<x>' has id True; allowed: 0 to 4194303"),
        ({"added_tokens": [ADDED, ADDED]}, "added token '<x>' occurs twice"),
        ({"added_tokens": [ADDED | {"id": 5}]}, "tokens '&' and '<x>' both have the id 5"),
    ],
)
def test_bad_tokenizers(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TokenizerError) as info:
        read(contents() | changes)
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_a_unigram_model_for_a_class_that_merges(tied: Path) -> None:
    (tied / "tokenizer.json").unlink()
    (tied / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    (tied / "tokenizer.model").write_bytes(sentencepiece_model(True))
    vocabulary = load_weights(tied).load_vocabulary()
    assert "though it is a Unigram model" in vocabulary.assumed[0]
    assert len(Tokenizer(vocabulary).encode("hello world")) == 5  # 3 by the likeliest pieces


def test_what_the_library_does_not_check(tied: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tied / "tokenizer.json").unlink()
    (tied / "tokenizer_config.json").write_text("{}")
    (tied / "tokenizer.model").write_bytes(sentencepiece_model(True, charsmap=b"\4\0\0\0abcd"))
    tokenizer = Tokenizer(load_weights(tied).load_vocabulary())
    with pytest.raises(TokenizerError, match="the library tokenizers says: index out of bounds"):
        tokenizer.encode("hello")
    assert "panicked" in capfd.readouterr().err  # nothing of ours can hold that back


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab": None}, "vocab of the model is missing or not an object"),
        ({"vocab": {"a": "0"}}, "token 'a' has id '0'; allowed: 0 to 4194303"),
        ({"vocab": {"a": 0, "b": 0}, "merges": []}, "tokens 'a' and 'b' both have the id 0"),
        ({"merges": None}, "merges of the model is missing or not a list"),
        ({"merges": [5]}, "merges of the model has something that is not a pair of tokens"),
        ({"merges": [["t", 5]]}, "merges of the model has something that is not a pair of tokens"),
    ],
)
def test_bad_models(changes: dict[str, Any], message: str) -> None:
    tokenizer = contents()
    tokenizer["model"] |= changes
    with pytest.raises(TokenizerError) as info:
        read(tokenizer)
    assert message in str(info.value)
    assert "\n" not in str(info.value)
