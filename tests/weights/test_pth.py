"""Archives of torch as torch writes them, against Python's own `pickle`; hostile ones are one line.

To add a case: a pickle behind `HEAD`, with the message that refuses it.
"""

from __future__ import annotations

import collections
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import assert_errors_only, failure_of, is_mapped
from pth_files import Stored, integer, pickled, text, write_archive, write_pth
from safetensors_files import CHECKPOINTS

from pyllama3.errors import WeightsError
from pyllama3.weights import TensorType
from pyllama3.weights.formats.pickles import Storage, StoredTensor, read_pickle
from pyllama3.weights.formats.pth import read_pth

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.arange(4, dtype=np.float16),
    "c": np.array([0x3F80, 0xC000], np.uint16),
}
TWELVE = np.arange(12, dtype=np.float32)


def failure(path: Path) -> str:
    return failure_of(path, read_pth)


def read_stored(tmp_path: Path, **tensors: Stored) -> Any:
    return read_pth(write_archive(tmp_path / "m.pth", {"data.pkl": pickled(tensors), "data/0": TWELVE.tobytes()}))


def test_tensors_are_views(tmp_path: Path) -> None:
    tensors = read_pth(write_pth(tmp_path / "m.pth", ARRAYS))
    assert [tensor.type for tensor in tensors.values()] == [TensorType.F32, TensorType.F16, TensorType.BF16]
    np.testing.assert_array_equal(tensors["a"].dequantize(), ARRAYS["a"])
    np.testing.assert_array_equal(tensors["b"].dequantize(), ARRAYS["b"])
    np.testing.assert_array_equal(tensors["c"].dequantize(), [1, -2])
    assert all(not tensor.data.flags.writeable for tensor in tensors.values())
    assert all(tensor.data.ctypes.data % tensor.type.block_bytes == 0 for tensor in tensors.values())


def test_tensors_of_torch_are_not_copied() -> None:
    tensors = read_pth(CHECKPOINTS / "meta-f16" / "consolidated.00.pth")
    assert len(tensors) == 21
    assert all(is_mapped(tensor.data) for tensor in tensors.values())


def test_tensors_may_share_a_storage_and_lie_in_any_order(tmp_path: Path) -> None:
    tensors = read_stored(
        tmp_path,
        all=Stored("0", 12, [3, 4]),
        part=Stored("0", 12, [2, 2], offset=5),
        transposed=Stored("0", 12, [4, 3], strides=[1, 4]),
        column=Stored("0", 12, [3, 1], offset=2, strides=[4, 1 << 62]),
        rows=Stored("0", 12, [2, 3], offset=1, strides=[6, 2]),
        scalar=Stored("0", 12, [], offset=11),
    )
    matrix = TWELVE.reshape(3, 4)
    np.testing.assert_array_equal(tensors["all"].dequantize(), matrix)
    np.testing.assert_array_equal(tensors["part"].dequantize(), [[5, 6], [7, 8]])
    np.testing.assert_array_equal(tensors["transposed"].dequantize(), matrix.T)
    np.testing.assert_array_equal(tensors["column"].dequantize(), matrix[:, 2:3])
    np.testing.assert_array_equal(tensors["rows"].dequantize(), [[1, 3, 5], [7, 9, 11]])
    np.testing.assert_array_equal(tensors["scalar"].dequantize(), 11)
    assert tensors["part"].data.ctypes.data - tensors["all"].data.ctypes.data == 20
    assert all(not tensor.data.flags.writeable for tensor in tensors.values())


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (Stored("0", 12, [3, 5]), "tensor 'x' of shape (3, 5) ends at number 15 of a storage of 12"),
        (Stored("0", 12, [3], offset=10), "tensor 'x' of shape (3,) ends at number 13 of a storage of 12"),
        (Stored("0", 12, [3], offset=1 << 62), "of a storage of 12"),
        (Stored("0", 12, [1 << 40, 1 << 40]), "of a storage of 12"),
        (Stored("0", 12, [1 << 40, 1 << 40], strides=[0, 0]), "of a storage of 12"),
        (Stored("0", 12, [2, 2], strides=[1 << 62, 1]), "of a storage of 12"),
        (Stored("0", 12, [0, 2]), "tensor 'x' has shape (0, 2) and strides (2, 1)"),
        (Stored("0", 12, [2, 2], strides=[1]), "tensor 'x' has shape (2, 2) and strides (1,)"),
        (Stored("0", 13, [3, 4]), "tensor 'x' is in a storage of 52 bytes, the archive has 48"),
        (Stored("0", 12, [3, 4], dtype="float16"), "tensor 'x' is in a storage of 24 bytes, the archive has 48"),
        (Stored("1", 12, [3, 4]), "the archive has no 'data/1'"),
        (Stored("../0", 12, [3, 4]), "the archive has no 'data/../0'"),
        (
            Stored("0", 6, [6], dtype="DoubleStorage"),
            "the pickle has tensors of torch.DoubleStorage; supported: ",
        ),
        (Stored("0", 12, [-1]), "the pickle is damaged at byte"),
        (Stored("0", 12, [1] * 9), "the pickle is damaged at byte"),
        (Stored("0", -1, [1]), "the pickle is damaged at byte"),
    ],
)
def test_bad_tensors(tmp_path: Path, tensor: Stored, message: str) -> None:
    files = {"data.pkl": pickled({"x": tensor}), "data/0": TWELVE.tobytes()}
    assert message in failure(write_archive(tmp_path / "m.pth", files))


def test_bad_archives(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    good = {"data.pkl": pickled({"x": Stored("0", 12, [12])}), "data/0": TWELVE.tobytes()}
    assert failure(path) == "no such file"
    path.write_bytes(b"")
    assert failure(path) == "the file is empty"
    path.write_bytes(b"\x80\x02}q\x00.")
    assert failure(path).startswith("not a zip archive as torch.save writes it: ")
    assert failure(write_archive(path, {})) == "the archive has no 'data.pkl'"
    assert "is compressed or encrypted" in failure(write_archive(path, good, compression=zipfile.ZIP_DEFLATED))
    assert "big-endian" in failure(write_archive(path, good | {"byteorder": b"big"}))
    large = {"data.pkl": b"\x80\x02" + b"N" * (1 << 26)}
    assert "data.pkl has 67108866 bytes" in failure(write_archive(path, large))
    with zipfile.ZipFile(write_archive(path, good), "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("archive/data/0", b"")
    assert failure(path) == "the archive has 'archive/data/0' twice"
    content = write_archive(path, good).read_bytes()
    path.write_bytes(content.replace(b"PK\x03\x04", b"PK\x03\x05"))
    assert "is not at byte 0 of the archive: damaged?" in failure(path)


class Malice:
    """Runs a command when an ordinary unpickler reads it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/executed",)


def test_pickles_are_read_as_pickle_reads_them() -> None:
    value = {
        "a": [1, -5, 300, 70000, 1 << 40, 2.5, None, True, False, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        7: {},
    }
    value["again"] = value["a"]
    result = read_pickle(pickle.dumps(value, protocol=2))
    assert result == value
    assert result["again"] is result["a"]
    ordered = collections.OrderedDict(x=1, y="z")
    assert read_pickle(pickle.dumps(ordered, protocol=2)) == dict(ordered)
    assert read_pickle(pickle.dumps({n: n for n in range(300)}, protocol=2))[299] == 299


def test_parameters_are_their_tensors() -> None:
    tensor = Stored("0", 12, [3, 4])
    call = b"\x80\x02ctorch._utils\n_rebuild_parameter\n(" + tensor.pickle() + b"\x88NtR."
    expected = StoredTensor(Storage(TensorType.F32, "0", 12), 0, (3, 4), (4, 1))
    assert read_pickle(call) == expected


HEAD = b"\x80\x02"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(Malice(), protocol=2), "the pickle asks for 'posix.system', which tensors do not need"),
        (pickle.dumps(Malice(), protocol=0), "the pickle asks for 'posix.system'"),
        (pickle.dumps(Malice(), protocol=4), "the pickle has instruction"),
        (HEAD + b"cbuiltins\neval\n" + text("1") + b"\x85R.", "the pickle asks for 'builtins.eval'"),
        (HEAD + b"ctorch._utils\n_rebuild_tensor\n", "the pickle asks for 'torch._utils._rebuild_tensor'"),
        (HEAD + b"ctorch.storage\n_load_from_bytes\n", "the pickle asks for 'torch.storage._load_from_bytes'"),
        (HEAD + b"ccollections\nOrderedDict\n)\x81.", r"the pickle has instruction b'\x81'"),
        (HEAD + b"(S'ls'\nios\nsystem\n.", "the pickle has instruction b'S'"),
        (HEAD + b"ccollections\nOrderedDict\n\x80\x02]\x85R.", "the pickle is damaged at byte"),
        (HEAD + b"c" + b"a" * 500 + b"\n", "the pickle is damaged at byte"),
        (HEAD + b"ccollections", "the pickle is damaged at byte"),
        (HEAD + b"X\xff\xff\xff\xff", "the pickle ends at byte 7: truncated?"),
        (HEAD + b"X\x02\0\0\0\xff\xfe.", "the pickle is damaged at byte"),
        (HEAD, "the pickle ends at byte 2: truncated?"),
        (HEAD + b".", "the pickle is damaged at byte"),
        (HEAD + b"(.", "the pickle is damaged at byte"),
        (HEAD + b"h\x05.", "the pickle is damaged at byte"),
        (HEAD + b"Nt.", "the pickle is damaged at byte"),
        (HEAD + b"}(Nu.", "the pickle is damaged at byte"),
        (HEAD + b"}]Ns.", "the pickle is damaged at byte"),
        (HEAD + b"N(NNu.", "the pickle is damaged at byte"),
        (HEAD + b"NNR.", "the pickle is damaged at byte"),
        (HEAD + b"NQ.", "the pickle is damaged at byte"),
        (HEAD + b"ccollections\nOrderedDict\nNR.", "the pickle is damaged at byte"),
        (HEAD + b"ctorch\nFloatStorage\n)R.", "the pickle is damaged at byte"),
        (HEAD + b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "the pickle is damaged at byte"),
        (HEAD + b"ctorch._utils\n_rebuild_parameter\n)R.", "the pickle is damaged at byte"),
        (HEAD + b"(" + text("storage") + text("x") + text("0") + text("cpu") + integer(1) + b"tQ.", "the pickle is"),
        (HEAD + b"(" + text("module") + b"ctorch\nFloatStorage\n" + text("0") + b"NNtQ.", "the pickle is damaged"),
    ],
)
def test_hostile_and_damaged_pickles(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(WeightsError) as info:
        read_pickle(data)
    assert message in str(info.value)
    assert message in failure(write_archive(tmp_path / "m.pth", {"data.pkl": data}))
    assert not Path("/tmp/executed").exists()


def test_nesting_and_sharing_cost_nothing() -> None:
    """What would take exponential time or a deep recursion to print or to copy is only linked."""
    doubled = b"N" + b"q\x00h\x00\x86" * 500
    assert isinstance(read_pickle(HEAD + doubled + b"."), tuple)
    deep = read_pickle(HEAD + b"N" + b"\x85" * 1_000_000 + b".")
    assert isinstance(deep, tuple)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEAD + b"].", "holds a list; a dictionary of tensors is needed"),
        (HEAD + b"}(" + text("step") + b"K\x05u.", "'step' is not a tensor"),
        (HEAD + b"}(K\x01Nu.", "1 is not a tensor"),
        (HEAD + b"}(" + text("model") + b"}u.", "'model' is not a tensor"),
    ],
)
def test_other_things_than_tensors(tmp_path: Path, data: bytes, message: str) -> None:
    assert failure(write_archive(tmp_path / "m.pth", {"data.pkl": data})) == message


def test_damaged_files_give_errors_only(tmp_path: Path) -> None:
    path = write_pth(tmp_path / "m.pth", ARRAYS)
    assert_errors_only(path, lambda: read_pth(path), cuts=len(path.read_bytes()) // 5, changes=1000)
    path = Path(shutil.copy(CHECKPOINTS / "meta-2-shards-bf16" / "consolidated.00.pth", tmp_path))
    assert_errors_only(path, lambda: read_pth(path), cuts=20, changes=300, region=range(4000))
