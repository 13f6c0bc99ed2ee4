"""Fusion compilers: the real one, and the bundled one."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .running import ROOT, BuildError, Say, run, run_or_fail, shown, version_of

COMPILERS = ("auto", "fut", "pyfut")
MINIMUM_FUT = (3, 3)


@dataclass(frozen=True)
class Transpiler:
    """A Fusion compiler that can be run."""

    name: str
    version: str
    command: tuple[str, ...]

    def translate(
        self, sources: Sequence[Path], symbols: Iterable[str], output: Path, language: str | None = None
    ) -> None:
        """Translate, with some symbols defined, to a language, by default that which the suffix of `output` names.

        Raises:
            BuildError: it refused the sources.
        """
        options = [option for symbol in symbols for option in ("-D", symbol)]
        if language:
            options += ["-l", language]
        command = [*self.command, "-o", str(output), *options, *map(shown, sources)]
        run_or_fail(command, f"{self.name} for {output.name}")


def find_transpiler(choice: str, say: Say) -> Transpiler:
    """Return `fut` from $FUT or the PATH when it is new enough, else the bundled `pyfut`.

    Raises:
        BuildError: $FUT does not work, or `choice` is "fut" and there is none.
    """
    if choice not in COMPILERS:
        raise BuildError(f"compiler '{choice}' is unknown; known: {', '.join(COMPILERS)}")
    if choice == "pyfut":
        return find_pyfut()
    wanted = shlex.split(os.environ.get("FUT", ""))
    found = shutil.which("fut")
    command = wanted or ([found] if found else None)
    minimum = ".".join(map(str, MINIMUM_FUT))
    if command is None:
        problem = "no fut on the PATH and $FUT is not set"
    else:
        version = version_of(command)
        if version is not None and tuple(map(int, version.split("."))) >= MINIMUM_FUT:
            return Transpiler("fut", version, tuple(command))
        problem = f"'{shlex.join(command)} --version' reports {version or 'no version'}; needed: {minimum} or newer"
    if wanted or choice == "fut":
        raise BuildError(f"{problem}; the bundled compiler is used with --compiler pyfut")
    if command:
        say(f"{problem}: using the bundled pyfut")
    return find_pyfut()


def find_pyfut() -> Transpiler:
    """Return the bundled compiler; its version ends in a hash of its sources, which change without a release.

    Raises:
        BuildError: it does not run.
    """
    command = (sys.executable, "-m", "pyfut")
    version = version_of(command)
    if version is None:
        printed = run([*command, "--version"]).stderr.strip()
        raise BuildError(f"the bundled pyfut does not run:\n{printed}")
    digest = hashlib.sha256()
    for path in sorted((ROOT / "pyfut").rglob("*.py")):
        digest.update(path.read_bytes())
    return Transpiler("pyfut", f"{version}+{digest.hexdigest()[:12]}", command)
