"""The safetensors format against files written by its definition; damaged ones are one line.

To add a case: a header for `test_bad_files`, with the line that refuses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import assert_errors_only, failure_of, is_mapped
from safetensors_files import header_of, safetensors, write_safetensors

from pyllama3.weights import TensorType
from pyllama3.weights.formats.safetensors import read_safetensors

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.arange(4, dtype=np.float16),
    "c": np.array([0x3F80, 0xC000], np.uint16),
}
DATA = b"".join(array.tobytes() for array in ARRAYS.values())


def entry(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]} | changes}


def failure(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    return failure_of(path, read_safetensors)


def test_tensors_are_views(tmp_path: Path) -> None:
    tensors = read_safetensors(write_safetensors(tmp_path / "m.safetensors", ARRAYS))
    assert [tensor.type for tensor in tensors.values()] == [TensorType.F32, TensorType.F16, TensorType.BF16]
    np.testing.assert_array_equal(tensors["a"].dequantize(), ARRAYS["a"])
    np.testing.assert_array_equal(tensors["b"].dequantize(), ARRAYS["b"])
    np.testing.assert_array_equal(tensors["c"].dequantize(), [1, -2])
    for tensor in tensors.values():
        assert not tensor.data.flags.writeable
        assert is_mapped(tensor.data)
        assert tensor.name in ARRAYS


def test_data_at_an_odd_address_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    content = safetensors(header_of(ARRAYS), DATA)
    size = int.from_bytes(content[:8], "little") + 1
    path.write_bytes(size.to_bytes(8, "little") + content[8 : 7 + size] + b" " + content[7 + size :])
    tensors = read_safetensors(path)
    assert all(tensor.data.ctypes.data % tensor.type.block_bytes == 0 for tensor in tensors.values())
    np.testing.assert_array_equal(tensors["a"].dequantize(), ARRAYS["a"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\x02\0\0\0", "has 4 bytes, too few for a safetensors file"),
        ((100).to_bytes(8, "little") + b"{}", "the header ends at byte 108, file has 10: truncated?"),
        ((1 << 63).to_bytes(8, "little") + b"{}", "announces a header of 9223372036854775808 bytes"),
        (safetensors(b"[]", b""), "the header does not begin with '{': not a safetensors file?"),
        (safetensors(b"{'a'", b""), "the header is not JSON: "),
        (safetensors(b'{"a": \xff}', b""), "the header is not JSON: "),
        (safetensors(b'{"a":' + b"[" * 100_000, b""), "the header is not JSON: is nested too deeply"),
        (safetensors(b'{"a":1,"a":2}', b""), "the header is not JSON: 'a' occurs twice"),
        (safetensors({"a": 1}, b""), "tensor 'a' must have dtype, shape and data_offsets"),
        (safetensors(entry(dtype="F64"), DATA), "tensor 'a' has type 'F64'; supported: F32, F16, BF16"),
        (safetensors(entry(dtype=["F32"]), DATA), "tensor 'a' has type ['F32']; supported: F32, F16, BF16"),
        (safetensors(entry(shape=[2, -3]), DATA), "tensor 'a' has shape [2, -3]; allowed: up to 8 integers"),
        (safetensors(entry(shape=[2, 3.0]), DATA), "tensor 'a' has shape [2, 3.0]; allowed: up to 8 integers"),
        (safetensors(entry(shape=[True, 6]), DATA), "tensor 'a' has shape [True, 6]; allowed: up to 8 integers"),
        (safetensors(entry(shape=[1] * 9), DATA), "allowed: up to 8 integers"),
        (safetensors(entry(shape=[1 << 62, 1 << 62, 1 << 62]), DATA), "data_offsets are [0, 24]"),
        (safetensors(entry(data_offsets=[0, 23]), DATA), "of shape [2, 3] needs 24 bytes; data_offsets are [0, 23]"),
        (safetensors(entry(data_offsets=[24, 0]), DATA), "of shape [2, 3] needs 24 bytes; data_offsets are [24, 0]"),
        (safetensors(entry(data_offsets=[0]), DATA), "allowed: two integers from 0 on"),
        (
            safetensors(entry(data_offsets=[4, 28]), DATA),
            "starts at byte 4 of the data and comes after a hole",
        ),
        (safetensors(entry(), DATA), f"the tensors end at byte 24 of the data, which has {len(DATA)}"),
        (safetensors(entry(), DATA[:23]), "tensor 'a' ends at byte 24 of the data, which has 23: truncated?"),
        (
            safetensors(entry() | {"b": {"dtype": "F16", "shape": [2], "data_offsets": [20, 24]}}, DATA[:24]),
            "tensor 'b' starts at byte 20 of the data and overlaps the tensor before it",
        ),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the model itself"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in failure(tmp_path, content)


def test_damaged_files_give_errors_only(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", ARRAYS)
    size = len(path.read_bytes())
    header = range(size - len(DATA))
    assert_errors_only(path, lambda: read_safetensors(path), cuts=size, changes=1500, region=header)
