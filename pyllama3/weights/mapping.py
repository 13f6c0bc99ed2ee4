"""Files as memory."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import WeightsError

_LFS_POINTER = b"version https://git-lfs"


def map_file(path: Path) -> mmap.mmap:
    """Map a file for reading.

    Raises:
        OSError: it cannot be opened or mapped.
        WeightsError: it is no file, is empty, or stands for a file that has not been downloaded.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise WeightsError(f"{path}: the file is empty")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if mapped[: len(_LFS_POINTER)] == _LFS_POINTER:
        raise WeightsError(f"{path}: a Git LFS pointer, not the model itself; fetch it with `git lfs pull`")
    return mapped


def release(data: NDArray[np.uint8]) -> None:
    """Free the memory of a view of a mapping; when it is read again, it comes back from the file.

    Does nothing for arrays of another kind, and where the system has no such thing.
    """
    owner: Any = data
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    if not isinstance(owner, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    start = _address(data) - _address(np.frombuffer(owner, np.uint8))
    first_page = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (start + data.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if first_page < end:
        owner.madvise(mmap.MADV_DONTNEED, first_page, end - first_page)


def _address(data: NDArray[np.uint8]) -> int:
    address: int = data.__array_interface__["data"][0]
    return address
