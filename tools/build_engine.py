"""Build the engine: Fusion to Python and C, C to a shared library, and a manifest that tells how.

Used by `tasks.py` and `setup.py`. Standard library only, as pip builds wheels in an environment that has nothing else;
so is what it imports of the host, which cannot import this.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from pyllama3.backends.build_folder import MANIFEST, library_name

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = {
    "llama3": [],
    "llama3-x86-64-v3": ["-march=x86-64-v3"],
    "llama3-x86-64-v4-vnni": ["-march=x86-64-v4", "-mavx512vnni", "-mprefer-vector-width=512"],
}
"""Names of the C files and libraries, and the flags for those that only some processors run, in portable builds.

The levels are those of the x86-64 psABI: v3 processors have AVX2, FMA and F16C, v4 ones the common parts of AVX-512.
"""


LIBRARY = library_name()
PYTHON_FILES = {"llama3.py": ["PYTHON"], "llama3_plain.py": []}
"""Generated Python and the symbols for the Fusion compiler; the plain one, without native blocks, is for numba."""
ARTEFACTS = (*PYTHON_FILES, *(file for name in VARIANTS for file in (f"{name}.c", f"{name}.h", library_name(name))))

MINIMUM_FUT = (3, 3)
COMPILERS = ("auto", "fut", "pyfut")

# The first flags for floats let gcc vectorize comparisons and calls, and change no result that is a number; that after
# them lets it inline public kernels into each other; without contraction, a sum has the same bits in every kernel. The
# parameters keep the loops over 16 lanes loops, which are then vectorized, and let the steps of kernels grow together.
CFLAGS = [
    "-std=gnu11",
    "-fno-trapping-math",
    "-fno-math-errno",
    "-fno-semantic-interposition",
    "-ffp-contract=off",
    "-pthread",
    "--param=max-completely-peel-times=15",
    "--param=max-inline-insns-auto=1000",
    "--param=large-function-growth=10000",
    "--param=inline-unit-growth=1000",
    "--param=large-stack-frame-growth=10000",
    "-Wall",
    "-Wextra",
]
PROFILES = {
    "local": ["-O3", "-march=native", "-Werror"],
    "portable": ["-O3"],  # for wheels: no processor is left out, and no new warning may break an install
    "debug": ["-Og", "-g", "-Werror"],
    "sanitize": ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
}
OPTIONAL_CFLAGS = {*CFLAGS[1:], "-march=native", "-Werror"}
PROBE = """
#include <math.h>
#include <stdlib.h>
double probe(const char *s) { return sqrt(atof(s)); }
"""
PROBES = {
    "SSE2": """
#ifndef __SSE2__
#error
#endif
""",
    "AVX2": """
#include <immintrin.h>
#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error
#endif
""",
    "VNNI": """
#if !defined(__AVX512VNNI__) || !defined(__AVX512VL__)
#error
#endif
""",
}
"""Programs that compile where a symbol may be set, beside what the symbols before it need."""
GET_C_COMPILER = {
    "darwin": "xcode-select --install",
    "win32": "https://www.msys2.org, then set CC to its gcc",
}.get(sys.platform, "apt install gcc libc6-dev, or dnf install gcc")

Say = Callable[[str], object]


class BuildError(Exception):
    """The engine cannot be built; the text tells the user why."""


@dataclass(frozen=True)
class Transpiler:
    """A Fusion compiler that can be run."""

    name: str
    version: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Variant:
    """How a library is made."""

    flags: tuple[str, ...]
    """What the C compiler accepts."""
    symbols: tuple[str, ...]
    """Symbols for the Fusion compiler: "THREADS", and those of `PROBES` whose instructions the flags allow."""


@dataclass(frozen=True)
class CCompiler:
    """A C compiler that can be run, and the libraries it is to make, by the names in `VARIANTS`."""

    command: tuple[str, ...]
    version: str
    variants: dict[str, Variant]


def run(command: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the root of the checkout; one that cannot be started exits with 127, as in a shell."""
    command = list(command)
    try:
        return subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def run_or_fail(command: Iterable[str], what: str) -> None:
    """Run a command.

    Raises:
        BuildError: it failed; the text holds what it printed.
    """
    result = run(command)
    if result.returncode != 0:
        printed = (result.stdout + result.stderr).strip()
        raise BuildError(f"{what} failed with exit code {result.returncode}:\n{printed}")


def version_of(command: Iterable[str]) -> str | None:
    """Return the first dotted number that `command --version` prints, None when it fails or prints none."""
    result = run([*command, "--version"])
    match = re.search(r"\d+(\.\d+)+", result.stdout)
    return match[0] if result.returncode == 0 and match else None


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


def find_c_compiler(cc: str, profile: str, say: Say) -> CCompiler | None:
    """Return the compiler named by `cc`, $CC or the PATH, None (and say so) when there is none that works.

    Raises:
        BuildError: `profile` is unknown.
    """
    if profile not in PROFILES:
        raise BuildError(f"profile '{profile}' is unknown; known: {', '.join(PROFILES)}")
    wanted = shlex.split(cc or os.environ.get("CC", ""))
    found = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    command = wanted or ([found] if found else [])
    only_python = f"only the python backend is built; to get one: {GET_C_COMPILER}"
    if not command:
        say(f"no C compiler: {only_python}")
        return None
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "probe.c")
        source.write_text(PROBE, encoding="utf-8")
        output = str(source.with_name(LIBRARY))

        def accepts(flags: list[str]) -> bool:
            return run([*command, *flags, *linking(source, output)]).returncode == 0

        if not accepts([]):
            say(f"no working C compiler ('{shlex.join(command)}' fails on a small program): {only_python}")
            return None
        flags = [*CFLAGS, *PROFILES[profile]]
        optional = [flag for flag in flags if flag in OPTIONAL_CFLAGS]
        refused = set() if accepts(optional) else {flag for flag in optional if not accepts([flag])}
        accepted = [flag for flag in flags if flag not in refused]
        wanted_variants = VARIANTS if profile == "portable" else {"llama3": []}
        more_flags = {name: more for name, more in wanted_variants.items() if accepts(more)}
        variants = {}
        for name, more in more_flags.items():
            flags = [*accepted, *more, *shlex.split(os.environ.get("CFLAGS", ""))]
            symbols = ["THREADS"]
            for symbol, probe in PROBES.items():
                source.write_text(probe, encoding="utf-8")
                if not accepts(flags):
                    break
                symbols.append(symbol)
            if "VNNI" in symbols and accepts([*flags, "-mprefer-vector-width=512"]):
                flags.append("-mprefer-vector-width=512")  # a vector of lanes in one register
            variants[name] = Variant(tuple(flags), tuple(symbols))
    version = run([*command, "--version"]).stdout.partition("\n")[0]
    return CCompiler(tuple(command), version, variants)


def linking(source: Path, output: str) -> list[str]:
    """Return the arguments that make a shared library of one C file."""
    position_independent = [] if sys.platform == "win32" else ["-fPIC"]
    return [*position_independent, "-shared", "-o", output, str(source), "-lm"]


def build(
    out: Path,
    *,
    compiler: str = "auto",
    cc: str = "",
    profile: str = "local",
    sources: Path = ROOT / "src",
    say: Say = print,
) -> None:
    """Build the engine into `out`, unless what is there was built from the same sources in the same way.

    On failure `out` is left as it was.

    Args:
        out: directory of the artefacts and of the manifest; created when missing.
        compiler: one of `COMPILERS`.
        cc: C compiler with its arguments; empty: $CC, else the first of cc, gcc and clang on the PATH.
        profile: one of `PROFILES`.
        sources: directory of the `.fu` files.
        say: receives lines for the user.

    Raises:
        BuildError: an option is unknown, or a compiler refused the sources.
    """
    paths = sorted(sources.glob("*.fu"))
    if not paths:
        raise BuildError(f"{sources}: no .fu files")
    transpiler = find_transpiler(compiler, say)
    c_compiler = find_c_compiler(cc, profile, say)
    variants = c_compiler.variants if c_compiler else {}
    defines = {**PYTHON_FILES, "llama3.c": ["C"]}
    defines |= {f"{name}.c": ["C", *variant.symbols] for name, variant in variants.items()}
    manifest: dict[str, object] = {
        "compiler": transpiler.name,
        "compiler_version": transpiler.version,
        "compiler_command": shlex.join(transpiler.command),
        "sources": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
        "defines": defines,
        "profile": profile,
        "cc": shlex.join(c_compiler.command) if c_compiler else None,
        "cc_version": c_compiler.version if c_compiler else None,
        "cflags": {f"{name}.c": list(variant.flags) for name, variant in variants.items()},
    }
    headers = [str(Path(name).with_suffix(".h")) for name in defines if name.endswith(".c")]
    artefacts = [*defines, *headers, *map(library_name, variants)]
    if is_current(out, manifest, artefacts):
        say(f"{shown(out)}: up to date")
        return

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=out) as directory:
        staging = Path(directory).resolve()
        for name, symbols in defines.items():
            options = [option for symbol in symbols for option in ("-D", symbol)]
            command = [*transpiler.command, "-o", str(staging / name), *options, *map(shown, paths)]
            run_or_fail(command, f"{transpiler.name} for {name}")
        for name, variant in variants.items():
            assert c_compiler
            moved = f"-fdebug-prefix-map={staging}={out.resolve()}"  # debuggers look for the source where it will be
            arguments = linking(staging / f"{name}.c", str(staging / library_name(name)))
            run_or_fail([*c_compiler.command, *variant.flags, moved, *arguments], shlex.join(c_compiler.command))
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


def is_current(out: Path, manifest: dict[str, object], artefacts: list[str]) -> bool:
    """Tell whether `out` holds all artefacts and a manifest that differs in nothing but the time."""
    try:
        built = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return {**manifest, "built": built.get("built")} == built and all((out / name).exists() for name in artefacts)


def shown(path: Path) -> str:
    """Return a path as compilers should print it: relative to the root of the checkout where it lies inside."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
