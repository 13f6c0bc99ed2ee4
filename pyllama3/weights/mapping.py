"""Files as memory."""

from __future__ import annotations

import mmap
from pathlib import Path

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
