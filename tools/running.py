"""Other programs, run for the build."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

Say = Callable[[str], object]


def tell(line: str) -> None:
    """Print a line for the user; if nobody reads any more, as behind `| head -1`, the work goes on without."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - as long as the process


class BuildError(Exception):
    """The engine cannot be built; the text tells the user why."""


def run(command: Iterable[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command, by default in the checkout; one that cannot be started exits with 127, as in a shell."""
    command = list(command)
    try:
        return subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def run_or_fail(command: Iterable[str], what: str, folder: Path = ROOT) -> None:
    """Run a command.

    Raises:
        BuildError: it failed; the text holds what it printed.
    """
    result = run(command, folder)
    if result.returncode != 0:
        printed = (result.stdout + result.stderr).strip()
        raise BuildError(f"{what} failed with exit code {result.returncode}:\n{printed}")


def version_of(command: Iterable[str]) -> str | None:
    """Return the first dotted number that `command --version` prints, None when it fails or prints none."""
    result = run([*command, "--version"])
    match = re.search(r"\d+(\.\d+)+", result.stdout)
    return match[0] if result.returncode == 0 and match else None


def shown(path: Path) -> str:
    """Return a path as compilers should print it: relative to the root of the checkout where it lies inside."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
