"""Files as `torch.save` writes them, put together by hand so that every part of them can be wrong."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_ALIGNMENT = 64
"""Where torch lets storages begin, by an extra field that fills the space before them."""
_LOCAL_HEADER = 30 + 4
_STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "uint16": "BFloat16Storage"}


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value: int) -> bytes:
    data = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def integers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(integer, values)) + b"t"


@dataclass
class Stored:
    """A tensor in a pickle; strides are those of rows after rows unless given."""

    key: str
    size: int
    shape: Sequence[int]
    dtype: str = "float32"
    offset: int = 0
    strides: Sequence[int] | None = None

    def pickle(self) -> bytes:
        strides = self.strides
        if strides is None:
            strides = [int(np.prod(self.shape[axis + 1 :])) for axis in range(len(self.shape))]
        kind = f"ctorch\n{_STORAGES.get(self.dtype, self.dtype)}\n".encode()
        storage = b"(" + text("storage") + kind + text(self.key) + text("cpu") + integer(self.size) + b"tQ"
        arguments = storage + integer(self.offset) + integers(self.shape) + integers(strides) + b"\x89"
        return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"ccollections\nOrderedDict\n)RtR"


def pickled(tensors: Mapping[str, Stored]) -> bytes:
    items = b"".join(text(name) + tensor.pickle() for name, tensor in tensors.items())
    return b"\x80\x02}q\x00(" + items + b"u."


def write_archive(path: Path, files: Mapping[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(f"archive/{name}")
            start = path.stat().st_size if path.exists() else 0
            padding = -(start + _LOCAL_HEADER + len(info.filename)) % _ALIGNMENT
            info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
            archive.writestr(info, data, compression)
            archive.fp.flush()  # type: ignore[union-attr]
    return path


def write_pth(path: Path, arrays: Mapping[str, npt.NDArray[np.generic]], *, checksum: int | None = None) -> Path:
    """Write each array as a storage of its own, with its checksum or a given one; uint16 are the bits of bfloat16."""
    tensors, files = {}, {}
    for number, (name, array) in enumerate(arrays.items()):
        tensors[name] = Stored(str(number), array.size, array.shape, array.dtype.name)
        files[f"data/{number}"] = array.tobytes()
    write_archive(path, {"data.pkl": pickled(tensors), "byteorder": b"little", **files, "version": b"3\n"})
    if checksum is not None:
        _set_checksums(path, checksum)
    return path


def _set_checksums(path: Path, checksum: int) -> None:
    """Replace the CRC-32 of every file in the central directory of a zip archive."""
    content = bytearray(path.read_bytes())
    position = struct.unpack_from("<I", content, len(content) - 6)[0]  # from the end record, which has no comment
    while content[position : position + 4] == b"PK\x01\x02":
        struct.pack_into("<I", content, position + 16, checksum)
        position += 46 + sum(struct.unpack_from("<3H", content, position + 28))
    path.write_bytes(content)
