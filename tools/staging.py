"""Build folders: made beside what they replace, by one build at a time, with a manifest that tells how.

Standard library only, as `build_engine` is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path

from pyllama3.backends.build_folder import MANIFEST
from pyllama3.files import lock

_PREFIX = ".building-"


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def is_current(out: Path, manifest: Mapping[str, object], artefacts: Sequence[str]) -> bool:
    """Tell whether `out` holds all artefacts and a manifest that differs in nothing but the time."""
    try:
        built = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return {**manifest, "built": built.get("built")} == built and all((out / name).exists() for name in artefacts)


def write_manifest(folder: Path, manifest: Mapping[str, object]) -> None:
    """Write the manifest with the time."""
    timed = {**manifest, "built": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    (folder / MANIFEST).write_text(json.dumps(timed, indent=1) + "\n", encoding="utf-8")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Create a folder if need be, and keep other builds in it waiting: its own handle is locked, without a file."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            handle = os.open(folder, os.O_RDONLY)  # Windows opens no directories
            stack.callback(os.close, handle)
            lock(handle)
        except OSError:  # nor have all file systems locks
            pass
        yield


@contextmanager
def staging_in(folder: Path) -> Iterator[Path]:
    """Yield an empty directory inside a folder in which one is alone, and remove what killed builds left there."""
    for leftover in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=folder) as name:
        yield Path(name).resolve()
