"""Build the engine: Fusion to Python and C, C to a shared library, and a manifest that tells how.

Used by `tasks.py` and `setup.py`. Standard library only, as pip builds wheels in an environment that has nothing else;
so is what the build imports of the host, which cannot import this.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path

from pyllama3.backends.build_folder import MANIFEST
from pyllama3.files import lock

from .c_compilers import VARIANTS, find_c_compiler
from .running import ROOT, BuildError, Say, shown
from .targets import HOST, TARGETS, find_target
from .transpilers import find_transpiler

STAGING = ".building-"
"""What the names of directories begin with in which builds are made; what is left of killed ones, the next removes."""
LIBRARY = HOST.file("llama3")
ARTEFACTS = (
    "llama3.py",
    *(f"{variant}{suffix}" for variant in VARIANTS for suffix in (".c", ".h")),
    *dict.fromkeys(target.file(variant) for target in TARGETS.values() for variant in VARIANTS),
)
"""Files that a build may leave beside the manifest."""


def build(
    out: Path,
    *,
    compiler: str = "auto",
    cc: str = "",
    profile: str = "",
    target: str = "",
    sources: Path = ROOT / "src",
    say: Say = print,
) -> None:
    """Build the engine into `out`, unless what is there was built from the same sources in the same way.

    On failure `out` is left as it was.

    Args:
        out: directory of the artefacts and of the manifest; created when missing.
        compiler: one of `COMPILERS`.
        cc: C compiler with its arguments; empty: $CC, else the first of cc, gcc and clang on the PATH, else zig.
        profile: one of `PROFILES`; empty: "local", or "portable" for a target.
        target: one of `TARGETS`; empty: this machine.
        sources: directory of the `.fu` files.
        say: receives lines for the user.

    Raises:
        BuildError: an option is unknown, a compiler refused the sources, or there is none for the target.
    """
    paths = sorted(sources.glob("*.fu"))
    if not paths:
        raise BuildError(f"{sources}: no .fu files")
    profile = profile or ("portable" if target else "local")
    transpiler = find_transpiler(compiler, say)
    c_compiler = find_c_compiler(cc, profile, find_target(target), say)
    variants = c_compiler.variants if c_compiler else {}
    defines = {"llama3.py": ["PYTHON"], "llama3.c": ["C"]}
    defines |= {f"{name}.c": ["C", *variant.symbols] for name, variant in variants.items()}
    manifest: dict[str, object] = {
        "compiler": transpiler.name,
        "compiler_version": transpiler.version,
        "compiler_command": shlex.join(transpiler.command),
        "sources": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
        "defines": defines,
        "profile": profile,
        "target": target or None,
        "cc": shlex.join(c_compiler.command) if c_compiler else None,
        "cc_version": c_compiler.version if c_compiler else None,
        "cflags": {f"{name}.c": list(variant.flags) for name, variant in variants.items()},
    }
    headers = [str(Path(name).with_suffix(".h")) for name in defines if name.endswith(".c")]
    artefacts = [*defines, *headers, *(c_compiler.target.file(name) for name in variants if c_compiler)]
    if is_current(out, manifest, artefacts):
        say(f"{shown(out)}: up to date")
        return

    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_alone_in(out))
        if is_current(out, manifest, artefacts):
            say(f"{shown(out)}: up to date, by another build")
            return
        for leftover in out.glob(f"{STAGING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        staging = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=STAGING, dir=out))).resolve()
        for name, symbols in defines.items():
            say(f"{shown(out)}: {name} from {len(paths)} Fusion files, by {transpiler.name}")
            transpiler.translate(paths, symbols, staging / name)
        if c_compiler:
            for name in variants:
                say(f"{shown(out)}: {c_compiler.target.file(name)} from {name}.c, by {c_compiler.command[0]}")
            compile_one = functools.partial(c_compiler.compile, staging=staging, out=out)
            with ThreadPoolExecutor() as pool:
                list(pool.map(compile_one, variants))
        manifest["built"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        (staging / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        # Without a manifest the directory counts as not built, so that an interrupted update is done again.
        for stale in (MANIFEST, *ARTEFACTS):
            if stale not in artefacts:
                (out / stale).unlink(missing_ok=True)
        for name in (*artefacts, MANIFEST):
            os.replace(staging / name, out / name)
    with_cc = f" and {c_compiler.version}" if c_compiler else ""
    say(f"{shown(out)}: {', '.join(artefacts)} built by {transpiler.name} {transpiler.version}{with_cc}")


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Keep other builds of a directory waiting; its own handle is locked, so that no file is needed."""
    with ExitStack() as stack:
        try:
            handle = os.open(out, os.O_RDONLY)  # Windows opens no directories
            stack.callback(os.close, handle)
            lock(handle)
        except OSError:  # nor have all file systems locks
            pass
        yield


def is_current(out: Path, manifest: dict[str, object], artefacts: list[str]) -> bool:
    """Tell whether `out` holds all artefacts and a manifest that differs in nothing but the time."""
    try:
        built = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return {**manifest, "built": built.get("built")} == built and all((out / name).exists() for name in artefacts)
