"""Build the engine: Fusion to Python and C, C to a shared library, and a manifest that tells how.

Used by `tasks.py` and `setup.py`. Standard library only, as pip builds wheels in an environment that has nothing else;
so is what the build imports of the host, which cannot import this.
"""

from __future__ import annotations

import functools
import os
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyllama3.backends.build_folder import MANIFEST

from .c_compilers import VARIANTS, find_c_compiler
from .running import ROOT, BuildError, Say, shown, tell
from .staging import alone_in, digests, is_current, staging_in, write_manifest
from .targets import HOST, TARGETS, find_target
from .transpilers import find_transpiler

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
    say: Say = tell,
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
        "sources": digests(paths),
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

    with alone_in(out):
        if is_current(out, manifest, artefacts):
            say(f"{shown(out)}: up to date, by another build")
            return
        with staging_in(out) as staging:
            for name, symbols in defines.items():
                say(f"{shown(out)}: {name} from {len(paths)} Fusion files, by {transpiler.name}")
                transpiler.translate(paths, symbols, staging / name)
            if c_compiler:
                for name in variants:
                    say(f"{shown(out)}: {c_compiler.target.file(name)} from {name}.c, by {c_compiler.command[0]}")
                compile_one = functools.partial(c_compiler.compile, staging=staging, out=out)
                with ThreadPoolExecutor() as pool:
                    list(pool.map(compile_one, variants))
            write_manifest(staging, manifest)
            # Without a manifest the directory counts as not built, so that an interrupted update is done again.
            for stale in (MANIFEST, *ARTEFACTS):
                if stale not in artefacts:
                    (out / stale).unlink(missing_ok=True)
            for name in (*artefacts, MANIFEST):
                os.replace(staging / name, out / name)
    with_cc = f" and {c_compiler.version}" if c_compiler else ""
    say(f"{shown(out)}: {', '.join(artefacts)} built by {transpiler.name} {transpiler.version}{with_cc}")
