"""The container of `torch.save`: a zip archive of a pickle and of raw numbers, to tensors, without torch."""

from __future__ import annotations

import math
import struct
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import WeightsError
from ..mapping import map_file
from ..tensor import Tensor, aligned
from .pickles import StoredTensor, read_pickle

_PICKLE = "data.pkl"
_MAX_PICKLE = 1 << 20
"""That of a Llama 3.1 405B has 300 KB. As many instructions take the machine two seconds."""
_MOST_SHARED = 2
"""How many times the bytes of the file the tensors may have: an output matrix may share those of the embedding."""
_SIGNATURE = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Signature, and the lengths of name and extra field that follow (PKWARE APPNOTE.TXT, 4.3.7)."""
_COMPARED = 1 << 16
"""Bytes at the beginning of storages that are compared besides their checksums."""


def read_pth(path: Path) -> dict[str, Tensor]:
    """Map a file of `torch.save` which holds a dictionary of tensors; these are views of the mapping.

    Tensors with the same bytes are views of the same place. Only tensors that are not stored row after row, or at an
    odd address, are copied.

    Raises:
        OSError: the file cannot be opened or mapped.
        WeightsError: it is damaged, has anything but tensors in it, or types that are not supported.
    """
    archive = _Archive(path)
    if archive.has("byteorder") and archive.read("byteorder").tobytes() != b"little":
        raise WeightsError(f"{path}: has big-endian numbers; only little-endian ones are supported")
    pickle = archive.read(_PICKLE)
    if len(pickle) > _MAX_PICKLE:
        raise WeightsError(f"{path}: {_PICKLE} has {len(pickle)} bytes; at most {_MAX_PICKLE} are allowed")
    try:
        values = read_pickle(pickle.tobytes())
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: holds a {type(values).__name__}; a dictionary of tensors is needed")
    tensors = {}
    left = _MOST_SHARED * archive.size
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, StoredTensor):
            raise WeightsError(f"{path}: {name!r:.80} is not a tensor")
        data = _numbers(archive, name, value)
        left -= len(data)
        if left < 0:
            raise WeightsError(f"{path}: tensors share bytes so that all would take {_MOST_SHARED} times the file")
        tensors[name] = Tensor(name, value.storage.type, value.shape, (data,))
    return tensors


class _Archive:
    """The files in a mapped zip archive, none of them compressed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        mapped = map_file(path)
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OSError) as error:
            raise WeightsError(f"{path}: not a zip archive as torch.save writes it: {error}: truncated?") from error
        self._bytes = np.frombuffer(mapped, np.uint8)
        self._entries: dict[str, zipfile.ZipInfo] = {}
        self._storages: dict[tuple[int, int], NDArray[np.uint8]] = {}
        for entry in entries:
            name = entry.filename.partition("/")[2]  # the folder has the name that the file once had
            if name in self._entries:
                raise WeightsError(f"{path}: the archive has {entry.filename!r:.80} twice")
            self._entries[name] = entry

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self._bytes)

    def has(self, name: str) -> bool:
        return name in self._entries

    def read(self, name: str) -> NDArray[np.uint8]:
        """Return a view of a file's bytes."""
        entry = self._entries.get(name)
        if entry is None:
            raise WeightsError(f"{self.path}: the archive has no {name!r:.80}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise WeightsError(f"{self.path}: {name!r:.80} is compressed or encrypted, which torch.save does not do")
        start = entry.header_offset
        header = self._bytes[start : start + _LOCAL_HEADER.size].tobytes()
        if len(header) < _LOCAL_HEADER.size or not header.startswith(_SIGNATURE):
            raise WeightsError(f"{self.path}: {name!r:.80} is not at byte {start} of the archive: damaged?")
        start += _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(header)[1:])
        data = self._bytes[start : start + entry.file_size]
        if len(data) < entry.file_size:
            end = start + entry.file_size
            raise WeightsError(f"{self.path}: {name!r:.80} ends at byte {end}, file has {len(self._bytes)}: truncated?")
        return data

    def storage(self, key: str) -> NDArray[np.uint8]:
        """Return a view of a storage; of several with the same bytes, that of the first one.

        Meta stores an output matrix that is tied to the embedding a second time. To compare all of it would mean to
        read a gigabyte, so that checksums have to do, where torch was not told to leave them out (and writes 0).
        """
        name = f"data/{key}"
        data = self.read(name)
        entry = self._entries[name]
        first = self._storages.setdefault((entry.CRC, len(data)), data)
        is_same = entry.CRC != 0 and np.array_equal(first[:_COMPARED], data[:_COMPARED])
        return first if is_same else data


def _numbers(archive: _Archive, name: str, tensor: StoredTensor) -> NDArray[np.uint8]:
    """Return the bytes of a tensor, row after row."""
    storage, shape, strides = tensor.storage, tensor.shape, tensor.strides
    subject = f"{archive.path}: tensor {name!r:.80}"
    data = archive.storage(storage.key)
    width = storage.type.block_bytes
    if len(data) != storage.size * width:
        raise WeightsError(f"{subject} is in a storage of {storage.size * width} bytes, the archive has {len(data)}")
    if len(strides) != len(shape) or 0 in shape:
        raise WeightsError(f"{subject} has shape {shape} and strides {strides}")
    count = math.prod(shape)
    end = tensor.offset + 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if count > storage.size or end > storage.size:
        raise WeightsError(f"{subject} of shape {shape} ends at number {end} of a storage of {storage.size}")
    data = data[tensor.offset * width :]
    row_after_row = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    if any(size > 1 and a != b for size, a, b in zip(shape, strides, row_after_row, strict=True)):
        steps = [stride * width if size > 1 else 0 for size, stride in zip(shape, strides, strict=True)]
        view = np.lib.stride_tricks.as_strided(data.view(f"V{width}"), shape, steps)
        data = np.ascontiguousarray(view).reshape(-1).view(np.uint8)
        data.flags.writeable = False
    return aligned(data[: count * width], storage.type)
