"""Build the engine with its host in another language: Fusion to that language, and both to a program."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..running import ROOT, BuildError, Say, run_or_fail, shown, tell
from ..staging import alone_in, digests, is_current, staging_in, write_manifest
from ..transpilers import Transpiler, find_transpiler
from .faults import MENDS
from .languages import LANGUAGES, Language

HOSTS = ROOT / "hosts"
"""The sources of the hosts."""


def build_hosts(names: Sequence[str], out: Path, *, say: Say = tell) -> None:
    """Build the engine for some languages, each into a folder of its name in `out`, unless it is there already.

    Raises:
        BuildError: a language is unknown, the real Fusion compiler or another one is missing, or refused its input.
    """
    for name in names:
        if name not in LANGUAGES:
            raise BuildError(f"target '{name}' is unknown; known: {', '.join(LANGUAGES)}")
    try:
        transpiler = find_transpiler("fut", say)
    except BuildError as error:
        raise BuildError(f"{', '.join(names)}: only the real Fusion compiler writes them; set $FUT") from error
    for name in names:
        _build(LANGUAGES[name], transpiler, out / name, say)


def _build(language: Language, transpiler: Transpiler, out: Path, say: Say) -> None:
    sources = sorted((ROOT / "src").glob("*.fu"))
    host = HOSTS / language.host if language.host else None
    tracked = [*sources, *([host] if host else []), Path(__file__).with_name("faults.py")]
    manifest: dict[str, object] = {
        "compiler": transpiler.name,
        "compiler_version": transpiler.version,
        "sources": digests(tracked),
        "compile": list(language.compile),
        "run": list(language.run),
    }
    if is_current(out, manifest, []):
        say(f"{shown(out)}: up to date")
        return
    for command in (language.compile, language.run):
        if command and not command[0].startswith(".") and shutil.which(command[0]) is None:
            raise BuildError(f"{out.name}: {command[0]} is not on the PATH; needed: {language.needs}")
    with alone_in(out.parent), staging_in(out.parent) as folder:
        staging = folder / out.name
        staging.mkdir()
        say(f"{shown(out)}: {language.file} from {len(sources)} Fusion files, by {transpiler.name}")
        generated = staging / language.file
        transpiler.translate(sources, (), generated, language.code)
        if mend := MENDS.get(out.name):
            generated.write_text(mend(generated.read_text("utf-8")), encoding="utf-8")
        if host:
            shutil.copy(host, staging)
        if language.compile:
            say(f"{shown(out)}: compiled by {language.compile[0]}")
            words = [word for pattern in language.compile for word in _expanded(pattern, staging)]
            run_or_fail(words, f"{language.compile[0]} for {out.name}", folder=staging)
        write_manifest(staging, manifest)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(staging, out)


def _expanded(word: str, folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(word)) if "*" in word else [word]
