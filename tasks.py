"""Commands for developers; `invoke --list` shows them, arguments after `--` go to the tool behind the command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from tools.build_engine import build as build_engine
from tools.c_compilers import PROFILES
from tools.hosts.build import build_hosts
from tools.hosts.languages import LANGUAGES
from tools.running import ROOT, BuildError, tell
from tools.targets import TARGETS
from tools.transpilers import COMPILERS
from tools.witness import WitnessError, check_all


def after_dashes() -> list[str]:
    """Return the arguments after `--`; invoke itself joins them and loses their quoting."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def run_python(*arguments: str, **variables: str) -> None:
    """Run this Python in the root of the checkout; a failure becomes the exit code of invoke."""
    result = subprocess.run([sys.executable, *arguments], cwd=ROOT, env={**os.environ, **variables})
    if result.returncode != 0:
        raise Exit(code=result.returncode)


@task(
    help={
        "out": "directory for the artefacts, relative to the checkout (default: build, or build/TARGET)",
        "compiler": f"Fusion compiler: {', '.join(COMPILERS)}",
        "cc": "C compiler (default: $CC, else cc, gcc, clang or zig, see CONTRIBUTING.md)",
        "profile": f"optimization: {', '.join(PROFILES)} (default: local, or portable for a target)",
        "target": f"another machine: {', '.join(TARGETS)}",
        "targets": f"other languages, with the programs in hosts/, into hosts/ there: {','.join(LANGUAGES)}",
    }
)
def build(
    _: Context,
    out: str = "",
    compiler: str = "auto",
    cc: str = "",
    profile: str = "",
    target: str = "",
    targets: str = "",
) -> None:
    """Transpile src/ and compile the C library, unless both are up to date."""
    try:
        if targets:
            if compiler != "auto" or cc or profile or target:
                raise BuildError("--targets goes with --out only: fut and the compiler of each language build them")
            build_hosts(targets.split(","), ROOT / (out or "build") / "hosts")
            return
        build_engine(
            ROOT / (out or f"build/{target}".rstrip("/")), compiler=compiler, cc=cc, profile=profile, target=target
        )
    except BuildError as error:
        raise Exit(f"build: {error}", code=1) from error


def sanitizing(c: Context) -> dict[str, str]:
    """Build the library with sanitizers, and return the environment in which Python can use it."""
    out = "build/sanitize"
    build(c, out=out, profile="sanitize")
    # The sanitizer has to be loaded before Python; Python itself does not free everything at its end.
    library = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True).strip()
    return {"PYLLAMA3_BUILD": str(ROOT / out), "LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0"}


@task(
    name="test",
    help={
        "quick": "only the essential part: the C engine against numpy, files, texts, the command line",
        "sanitize": "run on a library built with the address and undefined-behaviour sanitizers",
    },
)
def run_tests(c: Context, quick: bool = False, sanitize: bool = False) -> None:
    """Run the tests, a process for each core; `invoke test -- -n 0 -k store` passes options to pytest."""
    options = ["-n", "auto", "--dist", "loadfile", *(["--quick"] if quick else [])]
    run_python("-m", "pytest", *options, *after_dashes(), **(sanitizing(c) if sanitize else {}))


@task(
    name="drill",
    help={"sanitize": "see test; memory is not limited then", "kills": "kill each command that writes so many times"},
)
def run_drills(c: Context, sanitize: bool = False, kills: int = 0) -> None:
    """Read mutated files: `invoke drill -- --count 10000` for each reader, `invoke drill -- gguf` for one."""
    if kills:
        run_python("-m", "pytest", "tests/drills/test_kills.py", *after_dashes(), PYLLAMA3_KILLS=str(kills))
        return
    limits = ["--unlimited"] if sanitize else []
    run_python("tests/drills/fuzz.py", *limits, *after_dashes(), **(sanitizing(c) if sanitize else {}))


@task
def lint(_: Context) -> None:
    """Check style, formatting and types."""
    run_python("-m", "ruff", "check")
    run_python("-m", "ruff", "format", "--check")
    run_python("-m", "mypy")


@task
def bench(_: Context) -> None:
    """Measure the speed beside llama.cpp's; options after `--` go to benchmarks/versus_llama_cpp.py."""
    run_python("benchmarks/versus_llama_cpp.py", *after_dashes())


@task
def witness(_: Context) -> None:
    """Make the data of the tests again with the code of others, and compare; needs the extra .[witness]."""
    try:
        for line in check_all():
            tell(line)
    except WitnessError as error:
        raise Exit(f"witness: {error}", code=1) from error


@task
def tour(_: Context) -> None:
    """Make docs/tour.md and its pictures again, from src/, the numpy reference and SmolLM2."""
    from tools.tour import TourError
    from tools.tour.page import remake

    try:
        remake(tell)
    except TourError as error:
        raise Exit(f"tour: {error}", code=1) from error


@task(help={"out": "directory of the site, relative to the checkout (default: build/web)"})
def web(_: Context, out: str = "build/web") -> None:
    """Make the site in which a model answers in the browser: one page, with the engine in it."""
    from tools.web.site import build_site

    try:
        build_site(ROOT / out)
    except BuildError as error:
        raise Exit(f"web: {error}", code=1) from error


@task
def clean(_: Context) -> None:
    """Remove what the build, the tests and the linters left behind."""
    caches = (".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache")
    for name in ("build", "dist", "pyllama3.egg-info", "web/node_modules", *caches):
        shutil.rmtree(ROOT / name, ignore_errors=True)
