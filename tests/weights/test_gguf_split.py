"""Models split over several GGUF files by the `gguf` package.

To add a case: a change of one shard, and the line that names it.
"""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from damage import failure
from gguf_files import llama_metadata, llama_tensors, write_gguf, write_llama

from pyllama3.files import shard_names
from pyllama3.weights import load_weights


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """The Llama of `llama_metadata` in files of seven tensors."""
    whole = gguf.GGUFReader(write_llama(tmp_path / "whole.gguf"))
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama", split_max_tensors=7)
    for key, field in whole.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            kinds = field.types
            writer.add_key_value(key, field.contents(), kinds[0], kinds[-1] if len(kinds) > 1 else None)
    for tensor in whole.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    paths = sorted(tmp_path.glob("m-*.gguf"))
    assert [path.name for path in paths] == [f"m-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    return paths


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/m-00002-of-00002.gguf", ["a/m-00001-of-00002.gguf", "a/m-00002-of-00002.gguf"]),
        ("m-00001-of-00001.gguf", ["m-00001-of-00001.gguf"]),
        *((name, [name]) for name in ("m-00003-of-00002.gguf", "m-00000-of-00002.gguf", "m-1-of-2.gguf", "m.gguf", "")),
    ],
)
def test_names_of_shards(name: str, expected: list[str]) -> None:
    assert shard_names(name) == expected


def patch_number(path: Path, key: str, value: int, code: str) -> None:
    """Change a number in the metadata."""
    content = bytearray(path.read_bytes())
    struct.pack_into(code, content, content.index(key.encode()) + len(key) + 4, value)
    path.write_bytes(content)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_any_shard_opens_the_whole_model(shards: list[Path], number: int) -> None:
    weights = load_weights(shards[number])
    whole = load_weights(shards[0].with_name("whole.gguf"))
    assert weights.config == whole.config
    assert weights.tensors.keys() == whole.tensors.keys()
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(weights.tensors[name].data, tensor.data)
    assert not [key for key in weights.metadata if key.startswith("split.")]
    assert weights.load_vocabulary().tokens == whole.load_vocabulary().tokens


def test_a_missing_shard_is_named(shards: list[Path]) -> None:
    shards[1].unlink()
    assert failure(shards[0]) == f"{shards[0]}: one of 3 shards, of which {shards[1].name} is missing beside it"
    shards[0].unlink()
    assert f"of which {shards[0].name} and 1 more is missing" in failure(shards[2])


def test_a_count_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", llama_metadata() | {"split.count": [2, 2]}, llama_tensors())
    assert failure(path) == f"{path}: split.count is [2, 2]; a shard must be named like m-00001-of-00003.gguf"


def test_a_renamed_shard_is_refused(shards: list[Path]) -> None:
    renamed = shards[0].rename(shards[0].with_name("m.gguf"))
    assert failure(renamed) == f"{renamed}: split.count is 3; a shard must be named like m-00001-of-00003.gguf"


def test_a_shard_under_the_name_of_another_is_refused(shards: list[Path]) -> None:
    content = shards[1].read_bytes()
    shards[1].write_bytes(shards[2].read_bytes())
    shards[2].write_bytes(content)
    assert failure(shards[0]) == f"{shards[1]}: split.no is 2; expected 1"


def test_a_shard_of_another_split_is_refused(shards: list[Path]) -> None:
    patch_number(shards[2], "split.count", 4, "<H")
    assert failure(shards[0]) == f"{shards[2]}: split.count is 4; expected 3"


def test_tensors_are_counted(shards: list[Path]) -> None:
    patch_number(shards[0], "split.tensors.count", 99, "<i")
    assert failure(shards[1]) == f"{shards[0]}: split.tensors.count is 99; expected {len(llama_tensors())}"


def test_a_tensor_in_two_parts_is_refused(shards: list[Path]) -> None:
    content = shards[1].read_bytes()
    assert b"blk.1.attn_q.weight" in content
    shards[1].write_bytes(content.replace(b"blk.1.attn_q.weight", b"blk.0.attn_q.weight"))
    assert failure(shards[0]) == f"{shards[1]}: tensor 'blk.0.attn_q.weight' is in an earlier shard already"


def test_a_damaged_shard_is_named(shards: list[Path]) -> None:
    shards[2].write_bytes(shards[2].read_bytes()[:-100])
    message = failure(shards[0])
    assert message.startswith(f"{shards[2]}: ")
    assert message.endswith("truncated?")


def test_a_split_count_of_one_needs_no_name(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", llama_metadata() | {"split.count": 1}, llama_tensors())
    assert load_weights(path).config.layers == 2
