"""C compilers: which there are, what they accept, and which instructions they may use."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .running import BuildError, Say, run, run_or_fail
from .targets import HOST, Target

# The first flags for floats let gcc vectorize comparisons and calls, and change no result that is a number; that after
# them lets it inline public kernels into each other; without contraction, a sum has the same bits in every kernel. The
# parameters keep the loops over 16 lanes loops, which are then vectorized, and let the steps of kernels grow together,
# as the last one does in clang.
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
    "-mllvm=-inline-threshold=2000",
    "-Wall",
    "-Wextra",
]
PROFILES = {
    "local": ["-O3", "-Werror"],
    "portable": ["-O3"],  # for wheels: no processor is left out, and no new warning may break an install
    "debug": ["-Og", "-g", "-Werror"],
    "sanitize": ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
}

# By itself, zig takes -O3 for -O2 and keeps frame pointers, and without it checks for undefined behaviour.
_ZIG_FASTEST = ["-Xclang", "-O3", "-fomit-frame-pointer"]
ZIG_CFLAGS = {
    "local": _ZIG_FASTEST,
    "portable": _ZIG_FASTEST,
    "debug": ["-fno-sanitize=undefined"],
    "sanitize": [],
}
"""What makes zig do as gcc does."""


@dataclass(frozen=True)
class Processor:
    """Processors that code may be for, in the words of gcc and clang, and in those of zig."""

    flags: tuple[str, ...]
    zig: str


BASELINE = Processor((), "baseline")
NATIVE = Processor(("-march=native",), "native")
VARIANTS = {
    "llama3": BASELINE,
    "llama3-x86-64-v3": Processor(("-march=x86-64-v3",), "x86_64_v3"),
    "llama3-x86-64-v4-vnni": Processor(("-march=x86-64-v4", "-mavx512vnni"), "x86_64_v4+avx512vnni"),
    "llama3-aarch64-dotprod": Processor(("-march=armv8.2-a+dotprod",), "generic+v8_2a+dotprod"),
}
"""Names of the C files and libraries in portable builds, and the processors they are for.

The levels are those of the x86-64 psABI: v3 processors have AVX2, FMA and F16C, v4 ones the common parts of AVX-512.
Processors of Arm since about 2018 have the dot products of bytes of Armv8.2.
"""
WHOLE_VECTORS = "-mprefer-vector-width=512"
"""What puts a vector of 16 lanes into one register, where there are such."""
OPTIONAL_CFLAGS = {*CFLAGS[1:], *NATIVE.flags, "-Werror"}
PROBE = """
#include <math.h>
#include <stdlib.h>
double probe(const char *s) { return sqrt(atof(s)); }
"""
_AVX2 = "defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)"
_NEON = "defined(__ARM_NEON) && defined(__aarch64__)"
SYMBOLS = {
    "THREADS": "!defined(__wasm__) || defined(__wasm_atomics__)",
    "ATOMICS": "defined(__wasm_atomics__)",
    "WINDOWS": "defined(_WIN32)",
    "SSE2": "defined(__SSE2__)",
    "AVX2": _AVX2,
    "VNNI": f"{_AVX2} && defined(__AVX512VNNI__) && defined(__AVX512VL__)",
    "NEON": _NEON,
    "DOTPROD": f"{_NEON} && defined(__ARM_FEATURE_DOTPROD)",
    "SIMD128": "defined(__wasm_simd128__)",
}
"""Symbols for the Fusion compiler, and the condition of the C preprocessor under which each is set."""
GET_ZIG = "pip install ziglang"
GET_C_COMPILER = {
    "darwin": "xcode-select --install",
    "win32": "https://www.msys2.org, then set CC to its gcc",
}.get(sys.platform, "apt install gcc libc6-dev, or dnf install gcc")


@dataclass(frozen=True)
class Variant:
    """How a library is made."""

    flags: tuple[str, ...]
    """What the C compiler accepts."""
    symbols: tuple[str, ...]
    """Those of `SYMBOLS` whose instructions the flags allow."""


@dataclass(frozen=True)
class CCompiler:
    """A C compiler that can be run, and the libraries it is to make, by the names in `VARIANTS`."""

    command: tuple[str, ...]
    version: str
    target: Target
    variants: dict[str, Variant]

    def compile(self, variant: str, staging: Path, out: Path) -> None:
        """Compile a C file in `staging`, which is going to lie in `out`, to a library beside it.

        Raises:
            BuildError: it refused the file.
        """
        source = staging / f"{variant}.c"
        moved = f"-fdebug-prefix-map={staging}={out.resolve()}"  # debuggers look for the source where it will be
        exports = declared_functions(source.with_suffix(".h")) if self.target.is_wasm else []
        flags = self.variants[variant].flags
        names = ["-s"] if self.target.is_wasm and "-g" not in flags else []  # those of functions are most of a module
        arguments = linking(self.target, source, staging / self.target.file(variant), exports)
        run_or_fail([*self.command, *flags, *names, moved, *arguments], shlex.join(self.command))


def find_c_compiler(cc: str, profile: str, target: Target, say: Say) -> CCompiler | None:
    """Return the compiler named by `cc` or $CC, else one on the PATH (for this machine only), else zig's.

    When there is none that works for this machine, say so and return None.

    Raises:
        BuildError: `profile` is unknown or not for the target, or there is no compiler for another target.
    """
    if profile not in PROFILES:
        raise BuildError(f"profile '{profile}' is unknown; known: {', '.join(PROFILES)}")
    if target != HOST and profile == "local":
        raise BuildError(f"profile 'local' is for this machine; for {target.name}: portable or debug")
    commands = find_commands(cc, target)
    for command in commands:
        compiler = examine(command, profile, target)
        if compiler is not None:
            return compiler
    problem = "no C compiler" + (f" for {target.name}" if target.name else "")
    if commands:
        problem = f"no working{problem[2:]} ('{shlex.join(commands[0])}' fails on a small program)"
    if target != HOST:
        raise BuildError(f"{problem}; to get one: {GET_ZIG}")
    say(f"{problem}: only the python backend is built; to get one: {GET_ZIG}, or {GET_C_COMPILER}")
    return None


def find_commands(cc: str, target: Target) -> list[list[str]]:
    """Return command lines of the compilers to try, the first one first."""
    named = shlex.split(cc or os.environ.get("CC", ""))
    if named:
        return [named]
    names = ("cc", "gcc", "clang") if target == HOST else ()
    found = next(filter(None, map(shutil.which, names)), None)
    zig = find_zig()
    return [*([[found]] if found else []), *([[str(zig), "cc"]] if zig else [])]


def find_zig() -> Path | None:
    """Return the program of the package ziglang, which is what `python -m ziglang` starts.

    pip hides packages from the builds of wheels; they are looked for where they lie, too.
    """
    spec = importlib.util.find_spec("ziglang")
    origins = [spec.origin] if spec and spec.origin else []
    folders = [*(Path(origin).parent for origin in origins), Path(sysconfig.get_path("platlib"), "ziglang")]
    names = [folder / f"zig{sysconfig.get_config_var('EXE') or ''}" for folder in folders]
    return next((path for path in names if path.is_file()), None)


def is_zig(command: Sequence[str]) -> bool:
    """Tell whether a command line starts zig, which names processors in its own way and checks more by default."""
    return "ziglang" in command or Path(command[0]).stem == "zig"


def examine(command: Sequence[str], profile: str, target: Target) -> CCompiler | None:
    """Return what a compiler does with the flags of a profile, None when it does not work for the target."""
    with_zig = is_zig(command)
    version = run([*command, "--version"]).stdout.partition("\n")[0]  # with a target, zig also leaves a file
    if with_zig:
        version = f"zig {run([*command[: command.index('cc')], 'version']).stdout.strip()}, {version}"
        command = [*command, *(["-target", target.triple] if target != HOST else [])]
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "probe.c")
        source.write_text(f"{PROBE}#if !({target.condition})\n#error another target\n#endif\n", encoding="utf-8")
        output = source.with_name(target.file("probe"))

        def accepts(flags: Sequence[str]) -> bool:
            return run([*command, *flags, "-c", "-o", str(output), str(source)]).returncode == 0

        def links(flags: Sequence[str]) -> bool:
            # rarely done, as zig then first makes libraries, for each processor and level of optimization
            return run([*command, *flags, *linking(target, source, output, ["probe"])]).returncode == 0

        if not accepts(target.flags):
            return None
        flags = [flag for flag in (*CFLAGS, *PROFILES[profile]) if flag != "-pthread" or target.has_pthreads]
        flags += ZIG_CFLAGS[profile] if with_zig else []
        wanted = {"local": {"llama3": NATIVE}, "portable": VARIANTS}.get(profile, {"llama3": BASELINE})
        variants: dict[str, Variant] = {}
        for name, processor in wanted.items():
            for_processor = [f"-mcpu={processor.zig}"] if with_zig else list(processor.flags)
            if profile == "portable" and not accepts([*target.flags, *for_processor]):
                continue
            ours = [*flags, *target.flags, *for_processor]
            optional = [flag for flag in ours if flag in OPTIONAL_CFLAGS]
            refused = set() if accepts(["-Werror", *optional]) else {f for f in optional if not accepts(["-Werror", f])}
            accepted = [flag for flag in ours if flag not in refused]
            if name == "llama3" and not links(accepted):
                return None
            chosen = shlex.split(os.environ.get("CFLAGS", ""))  # comes last, so that it counts
            symbols = allowed_symbols([*command, *accepted, *chosen], source.with_name("symbols.c"))
            if "VNNI" in symbols and accepts([*accepted, WHOLE_VECTORS]):
                accepted.append(WHOLE_VECTORS)
            accepted += chosen
            # a compiler for newer processors only has nothing to add
            if all(symbols != variant.symbols for variant in variants.values()):
                variants[name] = Variant(tuple(accepted), symbols)
    return CCompiler(tuple(command), version, target, variants)


def allowed_symbols(command: Sequence[str], source: Path) -> tuple[str, ...]:
    """Return the names in `SYMBOLS` of the instructions that a compiler may use, having written a file to ask it."""
    lines = [f"#if {condition}\nsymbol {name}\n#endif\n" for name, condition in SYMBOLS.items()]
    source.write_text("".join(lines), encoding="utf-8")
    return tuple(re.findall(r"^symbol (\w+)", run([*command, "-E", str(source)]).stdout, re.MULTILINE))


def linking(target: Target, source: Path, output: Path, exports: Sequence[str]) -> list[str]:
    """Return the arguments that make a shared library of one C file, or a module that exports some functions."""
    if target.is_wasm:
        kind = ["-mexec-model=reactor", *target.link_flags, *(f"-Wl,--export={name}" for name in exports)]
    else:
        kind = ["-shared"] if target.platform == "win32" else ["-fPIC", "-shared"]
    return [*kind, "-o", str(output), str(source), "-lm"]


def declared_functions(header: Path) -> list[str]:
    """Return the names of the functions that a header declares."""
    return re.findall(r"^\w[\w *]*?(\w+)\(", header.read_text(encoding="utf-8"), re.MULTILINE)
