"""GGUF files against the package `gguf`, which writes and reads them; damaged ones are one line.

To add a case: metadata keys to change, with the configuration or the line that must come of it.
"""

from __future__ import annotations

import gc
import struct
import sys
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from damage import failure_of
from gguf import GGMLQuantizationType as GgmlType
from gguf_files import CONFIG, VOCAB_SIZE, llama_metadata, llama_tensors, spell, write_gguf, write_llama

from pyllama3.errors import WeightsError
from pyllama3.tokenizer.string_array import StringArray
from pyllama3.weights import TensorType, load_weights
from pyllama3.weights.formats.gguf import read_gguf

COUNTS_AT = 8
"""Where the numbers of tensors and of metadata entries stand, two u64."""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "tiny.gguf")


def patched(path: Path, position: int, data: bytes) -> Path:
    content = bytearray(path.read_bytes())
    content[position : position + len(data)] = data
    path.write_bytes(content)
    return path


def test_config_comes_from_the_metadata(tiny: Path) -> None:
    config = load_weights(tiny).config
    assert config.norm_eps == pytest.approx(CONFIG.norm_eps)
    for field in ("name", "dim", "layers", "heads", "kv_heads", "head_dim", "kv_dim", "hidden_dim", "vocab_size"):
        assert getattr(config, field) == getattr(CONFIG, field), field
    assert (config.context, config.rope_theta, config.rope_style) == (CONFIG.context, CONFIG.rope_theta, 0)
    assert config.rope_factors is None


def test_defaults(tmp_path: Path) -> None:
    metadata = llama_metadata() | {"llama.attention.head_count_kv": None, "llama.rope.freq_base": None}
    tensors = llama_tensors()
    for layer in range(CONFIG.layers):
        for name in ("attn_k", "attn_v"):
            tensors[f"blk.{layer}.{name}.weight"] = tensors[f"blk.{layer}.attn_q.weight"]
    config = load_weights(write_gguf(tmp_path / "m.gguf", metadata, tensors)).config
    assert config.kv_heads == config.heads
    assert config.rope_theta == 10000.0


def test_key_length_may_differ_from_dim_by_heads(tmp_path: Path) -> None:
    heads = CONFIG.heads * 2
    changes = {"llama.attention.head_count": heads, "llama.attention.head_count_kv": CONFIG.kv_heads}
    changes |= {"llama.attention.key_length": CONFIG.head_dim, "llama.attention.value_length": CONFIG.head_dim}
    tensors = llama_tensors()
    for layer in range(CONFIG.layers):
        tensors[f"blk.{layer}.attn_q.weight"] = np.zeros((2 * CONFIG.dim, CONFIG.dim), np.float32)
        tensors[f"blk.{layer}.attn_output.weight"] = np.zeros((CONFIG.dim, 2 * CONFIG.dim), np.float32)
    config = load_weights(write_gguf(tmp_path / "m.gguf", llama_metadata() | changes, tensors)).config
    assert (config.heads, config.head_dim) == (heads, CONFIG.head_dim)


@pytest.mark.parametrize("type", [TensorType.F32, TensorType.F16, TensorType.BF16, TensorType.Q8_0, TensorType.Q4_1])
def test_tensors_equal_those_of_gguf(tmp_path: Path, type: TensorType) -> None:
    tensors = llama_tensors()
    types = {name: GgmlType[type.name] for name, values in tensors.items() if values.ndim == 2}
    path = write_gguf(tmp_path / "m.gguf", llama_metadata(), tensors, types)
    weights = load_weights(path)
    expected = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert weights.tensors.keys() == expected.keys()
    for name, tensor in weights.tensors.items():
        assert tensor.name == name
        assert tensor.type == expected[name].tensor_type
        assert tensor.shape == tuple(expected[name].shape[::-1])
        assert tensor.nbytes == expected[name].n_bytes
        np.testing.assert_array_equal(tensor.data, expected[name].data.reshape(-1).view(np.uint8))
        np.testing.assert_array_equal(
            tensor.dequantize(), gguf.dequantize(expected[name].data, expected[name].tensor_type)
        )


def test_tensors_are_read_only_views_of_one_mapping(tiny: Path) -> None:
    tensors = load_weights(tiny).tensors.values()
    assert not any(tensor.data.flags.writeable or tensor.data.flags.owndata for tensor in tensors)
    assert len({id(tensor.data.base) for tensor in tensors}) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_close_unmaps_the_file_when_no_view_is_left(tiny: Path) -> None:
    def mapped() -> bool:
        gc.collect()
        return str(tiny) in Path("/proc/self/maps").read_text()

    weights = load_weights(tiny)
    view = weights.tensors["output_norm.weight"].data
    weights.close()
    assert mapped()
    assert view.any()
    del view
    assert not mapped()


def test_metadata_equals_that_of_gguf(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    numbers = {"uint8": 200, "int8": -3, "uint16": 60000, "int16": -300, "uint32": 1 << 31, "int32": -70000}
    numbers |= {"uint64": 1 << 63, "int64": -(1 << 40), "float32": 0.1, "float64": 0.1, "bool": True}
    for kind, value in numbers.items():
        getattr(writer, f"add_{kind}")(f"x.{kind}", value)
    writer.add_string("x.text", "Grüße 漢字 😀")
    writer.add_array("x.strings", ["", "a", "漢字", "b" * 300])
    writer.add_array("x.integers", [1, -2, 3])
    writer.add_array("x.floats", [0.5, 0.25])
    writer.add_array("x.flags", [True, False])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    metadata = read_gguf(path).metadata
    fields = {name: field for name, field in gguf.GGUFReader(path).fields.items() if not name.startswith("GGUF.")}
    assert metadata.keys() == fields.keys()
    for key, field in fields.items():
        value = metadata[key]
        assert (list(value) if isinstance(value, StringArray) else value) == field.contents(), key
    assert (metadata["x.bool"], metadata["x.float64"], metadata["x.uint64"]) == (True, 0.1, 1 << 63)
    assert metadata["x.strings"][1:3] == ["a", "漢字"]


def test_version_2_has_the_same_layout(tiny: Path) -> None:
    before = load_weights(tiny)
    after = load_weights(patched(tiny, 4, struct.pack("<I", 2)))
    assert before.config == after.config


def test_another_alignment(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(128)
    values = np.arange(10, dtype=np.float32)
    writer.add_tensor("a", values)
    writer.add_tensor("b", values + 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    np.testing.assert_array_equal(read_gguf(path).tensors["b"].dequantize(), values + 1)


@pytest.mark.parametrize("type", [GgmlType.F16, GgmlType.BF16])
def test_norms_are_widened(tmp_path: Path, type: GgmlType) -> None:
    tensors = llama_tensors()
    path = write_gguf(tmp_path / "m.gguf", llama_metadata(), tensors, {"output_norm.weight": type})
    norm = load_weights(path).tensors["output_norm.weight"]
    assert (norm.type, norm.data.flags.writeable) == (TensorType.F32, False)
    np.testing.assert_allclose(norm.dequantize(), tensors["output_norm.weight"], rtol=0.01)


def test_output_may_be_a_tensor_of_its_own(tmp_path: Path) -> None:
    tensors = llama_tensors()
    tensors["output.weight"] = tensors["token_embd.weight"] * 2
    weights = load_weights(write_gguf(tmp_path / "m.gguf", llama_metadata(), tensors))
    np.testing.assert_array_equal(weights.tensors["output.weight"].dequantize(), tensors["output.weight"])


FACTORS = np.linspace(1, 8, CONFIG.head_dim // 2, dtype=np.float32)
YARN = {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0}


@pytest.mark.parametrize(
    ("changes", "factors", "expected"),
    [
        ({"llama.rope.scaling.type": "none"}, None, None),
        ({}, FACTORS, FACTORS),
        ({"llama.rope.scaling.type": "llama3"}, FACTORS, FACTORS),
        ({"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}, None, np.full_like(FACTORS, 4)),
        ({"llama.rope.scaling.factor": 4.0}, None, np.full_like(FACTORS, 4)),
        ({"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0}, None, None),
        ({"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}, FACTORS, FACTORS * 4),
    ],
)
def test_rope_factors(tmp_path: Path, changes: dict[str, Any], factors: Any, expected: Any) -> None:
    tensors = llama_tensors() | ({} if factors is None else {"rope_freqs.weight": factors})
    weights = load_weights(write_gguf(tmp_path / "m.gguf", llama_metadata() | changes, tensors))
    assert "rope_freqs.weight" not in weights.tensors
    if expected is None:
        assert weights.config.rope_factors is None
    else:
        np.testing.assert_array_equal(np.array(weights.config.rope_factors, np.float32), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"llama.embedding_length": None}, "no metadata key 'llama.embedding_length'"),
        ({"llama.context_length": None}, "no metadata key 'llama.context_length'"),
        ({"llama.block_count": 0}, "llama.block_count is 0"),
        ({"llama.block_count": 1}, "tensor 'blk.1.attn_norm.weight' is not part of a Llama model with 1 layers"),
        ({"llama.block_count": 2**31 - 1}, "missing tensor 'blk.2.attn_norm.weight'"),
        ({"llama.block_count": 2**32 - 1}, "llama.block_count is 4294967295"),
        ({"llama.block_count": "two"}, "llama.block_count is 'two'"),
        (
            {"llama.attention.head_count": [4, 2]},
            "llama.attention.head_count is [4, 2]; allowed: the same for all layers",
        ),
        ({"llama.attention.head_count_kv": 3}, "llama.attention.head_count_kv is 3; allowed: a divisor of the 4 heads"),
        ({"llama.attention.key_length": 15}, "the head dimension is 15; it must be even"),
        ({"llama.attention.key_length": 8}, "tensor 'blk.0.attn_q.weight' has shape (64, 64)"),
        ({"llama.attention.value_length": 8}, "llama.attention.value_length is 8"),
        ({"llama.rope.dimension_count": 8}, "llama.rope.dimension_count is 8; allowed: the head dimension 16"),
        ({"llama.embedding_length": 128}, f"has shape ({VOCAB_SIZE}, 64); the metadata asks for ({VOCAB_SIZE}, 128)"),
        ({"llama.feed_forward_length": 64}, "tensor 'blk.0.ffn_gate.weight' has shape (96, 64)"),
        ({"llama.attention.layer_norm_rms_epsilon": float("nan")}, "layer_norm_rms_epsilon is nan"),
        ({"llama.rope.freq_base": 0.0}, "llama.rope.freq_base is 0.0; allowed: a positive number"),
        ({"llama.rope.scaling.type": "yarn"}, "no metadata key 'llama.rope.scaling.factor'"),
        ({**YARN, "llama.rope.scaling.factor": float("inf")}, "llama.rope.scaling.factor is inf"),
        ({**YARN, "llama.rope.scaling.original_context_length": 0}, "llama.rope.scaling.original_context_length is 0"),
        ({**YARN, "llama.rope.freq_base": 1.0}, "llama.rope.freq_base is 1.0; allowed: a number above 1 for YaRN"),
        ({"llama.rope.scaling.attn_factor": -1.0}, "llama.rope.scaling.attn_factor is -1.0"),
        ({"llama.rope.scaling.type": "longrope"}, "is 'longrope', but there is no tensor"),
        ({"llama.rope.scaling.type": "other"}, "is 'other'; allowed: 'none', 'linear', 'yarn', 'longrope', 'llama3'"),
        ({"llama.rope.scaling.type": "llama3"}, "there is no tensor 'rope_freqs.weight'"),
        ({"llama.expert_count": 8}, "llama.expert_count is 8"),
        ({"tokenizer.ggml.tokens": ["a", "b"]}, "the vocabulary has 2 tokens, tensor 'token_embd.weight' has"),
        ({"general.alignment": 24}, "general.alignment is 24"),
    ],
)
def test_bad_metadata(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in failure_of(write_llama(tmp_path / "m.gguf", changes))


def test_another_architecture(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", llama_metadata(), llama_tensors(), architecture="falcon")
    assert failure_of(path) == "general.architecture is 'falcon'; allowed: 'llama'"


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("token_embd.weight", None, "missing tensor 'token_embd.weight'"),
        ("blk.1.ffn_up.weight", None, "missing tensor 'blk.1.ffn_up.weight'"),
        ("output_norm.weight", np.ones(32), "tensor 'output_norm.weight' has shape (32,); the metadata asks for (64,)"),
        ("output.weight", np.ones((10, 64)), "tensor 'output.weight' has shape (10, 64)"),
        ("blk.0.attn_q.bias", np.ones(32), "tensor 'blk.0.attn_q.bias' has shape (32,)"),
        ("blk.0.attn_norm.bias", np.ones(64), "tensor 'blk.0.attn_norm.bias' is not part of a Llama model"),
        ("rope_freqs.weight", np.ones(7), "'rope_freqs.weight' has shape (7,); allowed: (8,)"),
        ("rope_freqs.weight", np.zeros(8), "'rope_freqs.weight' has factors that are not positive numbers"),
    ],
)
def test_bad_tensors(tmp_path: Path, name: str, values: Any, message: str) -> None:
    tensors = llama_tensors() | {name: values}
    tensors = {name: values for name, values in tensors.items() if values is not None}
    assert message in failure_of(write_gguf(tmp_path / "m.gguf", llama_metadata(), tensors))


def test_files_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    assert failure_of(path) == "no such file"
    assert failure_of(tmp_path) == "a directory without config.json (Hugging Face) or params.json (Meta)"
    path.write_bytes(b"")
    assert failure_of(path) == "the file is empty"
    path.write_bytes(b"PK\x03\x04 and so on")
    assert failure_of(path) == r"starts with b'PK\x03\x04'; expected b'GGUF' or a name with .safetensors, .pth, .bin"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "a Git LFS pointer" in failure_of(path)
    path.write_bytes(b"GGU")
    assert failure_of(path) == "starts with b'GGU'; expected b'GGUF' or a name with .safetensors, .pth, .bin"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (struct.pack("<I", 1), "GGUF version 1; supported: 2, 3"),
        (struct.pack("<I", 4), "GGUF version 4; supported: 2, 3"),
        (struct.pack(">I", 3), "GGUF file in big-endian byte order; only little-endian files are supported"),
    ],
)
def test_other_versions(tiny: Path, version: bytes, message: str) -> None:
    assert failure_of(patched(tiny, 4, version)) == message


def test_truncated_anywhere(tiny: Path, tmp_path: Path) -> None:
    content = tiny.read_bytes()
    path = tmp_path / "truncated.gguf"
    for size in [*range(4, 300), *range(300, len(content), 1009), len(content) - 1]:
        path.write_bytes(content[:size])
        message = failure_of(path)
        assert "truncated?" in message, (size, message)


@pytest.mark.parametrize("count", [60_000, 10**6, 2**40, 2**63, 2**64 - 1])
def test_absurd_counts_are_refused_before_anything_is_allocated(tiny: Path, count: int) -> None:
    things = ("tensors", "metadata entries")
    content = tiny.read_bytes()
    for n, thing in enumerate(things):
        tiny.write_bytes(content)
        assert f"announces {count} {thing}" in failure_of(patched(tiny, COUNTS_AT + 8 * n, struct.pack("<Q", count)))
    tiny.write_bytes(content)
    key = b"tokenizer.ggml.merges"
    position = content.index(key) + len(key) + 8  # over the types of the value and of its elements
    assert f"announces {count} strings" in failure_of(patched(tiny, position, struct.pack("<Q", count)))
    tiny.write_bytes(content)
    message = failure_of(patched(tiny, position + 8, struct.pack("<Q", count)))  # the length of the first string
    assert message.startswith("metadata key 'tokenizer.ggml.merges' needs")


def tensor_info(content: bytes, name: str) -> int:
    """Where the fields after the name of a tensor begin: u32 dimensions, two u64, u32 type, u64 offset."""
    encoded = name.encode()
    return content.index(struct.pack("<Q", len(encoded)) + encoded) + 8 + len(encoded)


@pytest.mark.parametrize(
    ("at", "data", "message"),
    [
        (0, struct.pack("<I", 0), "has 0 dimensions; allowed: 1 to 4"),
        (0, struct.pack("<I", 2**32 - 1), "has 4294967295 dimensions; allowed: 1 to 4"),
        (4, struct.pack("<Q", 0), "has shape (64, 0); no dimension may be 0"),
        (4, struct.pack("<QQ", 2**63, 2**63), "truncated?"),
        (12, struct.pack("<Q", 2**61), "truncated?"),
        (20, struct.pack("<I", 15), "has type Q8_K; supported: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, "),
        (20, struct.pack("<I", 99), "has type number 99; supported: F32"),
        (24, struct.pack("<Q", 33), "starts at offset 33, which is not a multiple of 32"),
        (24, struct.pack("<Q", 2**63), "truncated?"),
        (24, struct.pack("<Q", 2**64 - 32), "truncated?"),
    ],
)
def test_bad_tensor_infos(tiny: Path, at: int, data: bytes, message: str) -> None:
    name = "blk.0.attn_q.weight"
    found = failure_of(patched(tiny, tensor_info(tiny.read_bytes(), name) + at, data))
    assert found.startswith(f"tensor {name!r} ")
    assert message in found


def test_rows_must_be_whole_blocks(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", {}, {"t": np.ones((2, 33), np.float32)})
    patched(path, tensor_info(path.read_bytes(), "t") + 20, struct.pack("<I", TensorType.Q8_0))
    assert failure_of(path) == "tensor 't' has rows of 33 values; Q8_0 needs a multiple of 32"


def test_long_names_make_no_long_messages(tiny: Path) -> None:
    """Where a length is damaged, much of the file is part of a name."""
    content, key = bytearray(tiny.read_bytes()), b"general.name"
    struct.pack_into("<Q", content, content.index(key) - 8, 2000)
    tiny.write_bytes(content)
    assert len(failure_of(tiny)) < 200


def test_names_and_keys_occur_once(tiny: Path) -> None:
    content = tiny.read_bytes()
    tiny.write_bytes(content.replace(b"blk.1.attn_q.weight", b"blk.0.attn_q.weight"))
    assert failure_of(tiny) == "tensor 'blk.0.attn_q.weight' occurs twice"
    tiny.write_bytes(content.replace(b"tokenizer.ggml.bos_token_id", b"tokenizer.ggml.eos_token_id"))
    assert failure_of(tiny) == "metadata key 'tokenizer.ggml.eos_token_id' occurs twice"


@pytest.mark.parametrize(("type_id", "found"), [(9, "an array of value type 9"), (13, "an array of value type 13")])
def test_unknown_element_types(tiny: Path, type_id: int, found: str) -> None:
    key = b"tokenizer.ggml.merges"
    position = tiny.read_bytes().index(key) + len(key) + 4
    assert found in failure_of(patched(tiny, position, struct.pack("<I", type_id)))


def test_unknown_value_types(tiny: Path) -> None:
    key = b"general.architecture"
    position = tiny.read_bytes().index(key) + len(key)
    assert "has value type 13; allowed: 0 to 12" in failure_of(patched(tiny, position, struct.pack("<I", 13)))


def test_damaged_headers_never_raise_anything_else(tiny: Path) -> None:
    """Random bytes in the header, one at a time; some do no harm."""
    content = tiny.read_bytes()
    end = content.index(b"output_norm.weight") + 50
    random = np.random.default_rng(5)
    messages = []
    for position, value in zip(random.integers(4, end, 400), random.integers(0, 256, 400), strict=True):
        damaged = bytearray(content)
        damaged[position] = value
        tiny.write_bytes(damaged)
        try:
            load_weights(tiny)
        except WeightsError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert "\n" not in "".join(messages)


def string_array(key: str, strings: list[bytes]) -> bytes:
    head = struct.pack("<Q", len(key)) + key.encode() + struct.pack("<IIQ", 9, 8, len(strings))
    return head + b"".join(struct.pack("<Q", len(string)) + string for string in strings)


def test_metadata_of_a_vocabulary_of_128k_is_read_well_within_a_second(tmp_path: Path) -> None:
    tokens = [spell(b"token%d" % n).encode() for n in range(128_256)]
    merges = [b"to ken%d" % n for n in range(280_147)]
    entries = [string_array("tokens", tokens), string_array("merges", merges)]
    path = tmp_path / "large.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries))
    start = time.perf_counter()
    metadata = read_gguf(path).metadata
    assert time.perf_counter() - start < 1  # 0.1 s on an idle core
    assert (len(metadata["tokens"]), metadata["merges"][-1]) == (128_256, "to ken280146")


def test_smollm2_equals_gguf(smollm2_path: Path) -> None:
    weights = load_weights(smollm2_path)
    tensors = gguf.GGUFReader(smollm2_path).tensors
    assert {tensor.name for tensor in tensors} == weights.tensors.keys()
    for tensor in tensors[:14]:
        np.testing.assert_array_equal(
            weights.tensors[tensor.name].dequantize(), gguf.dequantize(tensor.data, tensor.tensor_type)
        )
    config = weights.config
    assert (config.dim, config.layers, config.heads, config.kv_heads) == (576, 30, 9, 3)
    assert (config.hidden_dim, config.vocab_size, config.context) == (1536, 49152, 8192)
