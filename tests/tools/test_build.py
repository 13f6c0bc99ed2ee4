"""The build: what it makes, when it does nothing, and what it says when something is missing.

The witness is the behaviour of what was built. To add a case: a stand-in for a compiler by `executable`.
"""

from __future__ import annotations

import array
import ctypes
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pyllama3.backends import library_name
from pyllama3.cpu import LEVELS
from tools import build_engine, c_compilers
from tools.build_engine import LIBRARY, build
from tools.c_compilers import find_zig
from tools.running import ROOT, BuildError
from tools.targets import TARGETS

SOURCE = """
/// A stand-in for the engine.
public static class Kernels
{
	/// Adds `x` to `y`.
	public static void Add(
		/// Sum (n).
		float[]! y,
		/// Addend (n).
		float[] x,
		/// Elements.
		int n)
	{
		for (int i = 0; i < n; i++)
			y[i] += x[i];
	}

	/// Tells which symbols the source was transpiled with.
	public static int Symbols()
	{
#if PYTHON
		return 1;
#elif SIMD128
		return 3;
#elif C
		return 2;
#else
		return 0;
#endif
	}
}
"""
HAS_FUT = bool(os.environ.get("FUT") or shutil.which("fut"))
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on the PATH")


def test_no_variable_hides_what_generated_python_calls() -> None:
    """Pyfut renames such variables; fut does not, and its functions fail then."""
    called = "range|len|min|max|round|abs|int|float|bool|array|math|struct"
    variable = re.compile(rf"\b(?:int|float|double|nint|long|short|byte|bool)(?:\[[^\]]*\])?[!?]* ({called})\b(?! *\()")
    for path in sorted((ROOT / "src").glob("*.fu")):
        assert variable.findall(path.read_text("utf-8")) == [], path.name


@pytest.fixture(params=["pyfut", pytest.param("fut", marks=pytest.mark.skipif(not HAS_FUT, reason="no fut here"))])
def compiler(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    directory = tmp_path / "src"
    directory.mkdir()
    (directory / "kernels.fu").write_text(SOURCE)
    return directory


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def lines() -> list[str]:
    """What the build says to the user."""
    return []


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def load_python(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"built_{path.parent.name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_manifest(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / "manifest.json").read_text()))


def snapshot(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.iterdir()}


@needs_cc
def test_both_targets_compute_the_same(compiler: str, sources: Path, out: Path) -> None:
    build(out, compiler=compiler, sources=sources)
    kernels = load_python(out / "llama3.py").Kernels
    library = ctypes.CDLL(str(out / LIBRARY))
    for add in (kernels.add, lambda y, x, n: library.Kernels_Add(pointer(y), pointer(x), n)):
        y, x = array.array("f", [1, 2, 3]), array.array("f", [10, 20, 30])
        add(y, x, 2)
        assert list(y) == [11, 22, 3]
    assert kernels.symbols() == 1
    assert library.Kernels_Symbols() == 2


def pointer(values: array.array[float]) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.buffer_info()[0])


def allowed(flags: list[str]) -> list[str]:
    """Return the symbols of threads, and of instructions that the compiler may use."""
    command = ["cc", *flags, "-dM", "-E", "-xc", os.devnull]
    macros = {line.split()[1] for line in subprocess.check_output(command, text=True).splitlines()}
    avx2 = {"__AVX2__", "__FMA__", "__F16C__"} <= macros
    vnni = avx2 and {"__AVX512VNNI__", "__AVX512VL__"} <= macros
    neon = {"__ARM_NEON", "__aarch64__"} <= macros
    dotprod = neon and "__ARM_FEATURE_DOTPROD" in macros
    symbols = ["THREADS"] + ["SSE2"] * ("__SSE2__" in macros)
    return symbols + ["AVX2"] * avx2 + ["VNNI"] * vnni + ["NEON"] * neon + ["DOTPROD"] * dotprod


@needs_cc
def test_manifest_tells_how_it_was_built(
    compiler: str, sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFLAGS", "-DFIRST -DLAST=1")
    monkeypatch.setenv("CC", "cc -DWITH_ARGUMENT")
    build(out, compiler=compiler, sources=sources)
    manifest = read_manifest(out)
    assert manifest["compiler"] == compiler
    assert tuple(map(int, str(manifest["compiler_version"]).split("+")[0].split("."))) > (0,)
    assert manifest["sources"] == {"kernels.fu": hashlib.sha256(SOURCE.encode()).hexdigest()}
    assert manifest["cc"] == "cc -DWITH_ARGUMENT"
    assert manifest["cc_version"] == subprocess.check_output(["cc", "--version"], text=True).splitlines()[0]
    flags = manifest["cflags"]["llama3.c"]
    assert flags[-2:] == ["-DFIRST", "-DLAST=1"]
    assert {"-O3", "-Wall", "-Wextra", "-Werror"} < set(flags)
    assert manifest["target"] is None
    assert manifest["defines"] == {"llama3.py": ["PYTHON"], "llama3.c": ["C", *allowed(flags)]}
    assert str(manifest["built"]).startswith("20")


@needs_cc
def test_nothing_is_redone_until_something_changes(
    compiler: str, sources: Path, out: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(**options: str) -> bool:
        before = snapshot(out) if out.exists() else {}
        build(out, compiler=compiler, sources=sources, say=lines.append, **options)
        return snapshot(out) != before

    assert built()
    assert not built()
    assert "up to date" in lines[-1]
    (sources / "kernels.fu").write_text(SOURCE.replace("stand-in", "substitute"))
    assert built()
    assert built(profile="debug")
    assert not built(profile="debug")
    (out / LIBRARY).unlink()
    assert built(profile="debug")
    (out / "manifest.json").write_text("{")
    assert built(profile="debug")
    monkeypatch.setenv("CFLAGS", "-DMORE")
    assert built(profile="debug")


@needs_cc
def test_portable_code_is_not_for_this_processor_only(
    compiler: str, sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(out, compiler=compiler, sources=sources, profile="portable")
    manifest = read_manifest(out)
    assert not {"-march=native", "-Werror"} & set(manifest["cflags"]["llama3.c"])
    assert "AVX2" not in manifest["defines"]["llama3.c"]
    monkeypatch.setenv("CFLAGS", "-mavx2 -mfma -mf16c" if platform.machine() in ("x86_64", "AMD64") else "")
    build(out, compiler=compiler, sources=sources, profile="portable")
    manifest = read_manifest(out)
    assert ("AVX2" in manifest["defines"]["llama3.c"]) == ("AVX2" in allowed(manifest["cflags"]["llama3.c"]))


@needs_cc
def test_debugger_finds_the_source(compiler: str, sources: Path, out: Path) -> None:
    build(out, compiler=compiler, sources=sources, profile="debug")
    debug_information = (out / LIBRARY).read_bytes()
    assert str(out).encode() in debug_information
    assert b".building-" not in debug_information


@pytest.mark.parametrize("reason", ["CC is not there", "no compiler on the PATH", "the compiler does not work"])
def test_without_c_compiler_the_python_backend_is_built(
    reason: str, sources: Path, out: Path, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out.mkdir()
    (out / LIBRARY).write_text("of an earlier build")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(c_compilers, "find_zig", lambda: None)
    if reason == "no compiler on the PATH":
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        monkeypatch.setenv("CC", "/nonexistent" if reason == "CC is not there" else "false")
    build(out, compiler="pyfut", sources=sources, say=lines.append)
    assert load_python(out / "llama3.py").Kernels.symbols() == 1
    assert not (out / LIBRARY).exists()
    manifest = read_manifest(out)
    assert (manifest["cc"], manifest["cflags"]) == (None, {})
    notice, *steps, summary = lines
    assert [step.partition(": ")[2] for step in steps] == [
        f"{name} from 1 Fusion files, by pyfut" for name in ("llama3.py", "llama3.c")
    ]
    assert "C compiler" in notice
    assert "only the python backend is built" in notice
    assert "to get one: pip install ziglang, or " in notice
    assert LIBRARY not in summary


@needs_cc
@pytest.mark.parametrize("broken", ["source", "C compilation"])
def test_failure_leaves_the_last_build_alone(
    broken: str, compiler: str, sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(out, compiler=compiler, sources=sources)
    before = snapshot(out)
    if broken == "source":
        (sources / "kernels.fu").write_text(SOURCE.replace("y[i] += x[i]", "y[i] += z[i]"))
        message = r"kernels\.fu\(15\): ERROR"
    else:
        monkeypatch.setenv("CFLAGS", "-include /nonexistent.h")
        message = "nonexistent.h"
    with pytest.raises(BuildError, match=message):
        build(out, compiler=compiler, sources=sources)
    assert snapshot(out) == before


def test_fut_that_does_not_run_is_an_error(sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUT", "/nonexistent/fut --fast")
    with pytest.raises(BuildError, match=r"'/nonexistent/fut --fast --version' reports no version"):
        build(out, sources=sources)
    assert not out.exists()


def test_old_fut_on_the_path_is_passed_over(
    sources: Path, out: Path, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "fut", 'echo "Fusion Transpiler 3.2.14"')
    monkeypatch.delenv("FUT", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    build(out, sources=sources, say=lines.append)
    assert read_manifest(out)["compiler"] == "pyfut"
    assert "reports 3.2.14; needed: 3.3 or newer: using the bundled pyfut" in lines[0]
    with pytest.raises(BuildError, match=r"3\.2\.14"):
        build(out, compiler="fut", sources=sources)


@pytest.mark.parametrize("option", ["compiler", "profile", "target"])
def test_unknown_option_lists_the_known(option: str, sources: Path, out: Path) -> None:
    known = {
        "compiler": "auto, fut, pyfut",
        "profile": "local, portable, debug, sanitize",
        "target": "x86_64-linux-gnu, .*, aarch64-macos, wasm32, wasm32-threads",
    }[option]
    with pytest.raises(BuildError, match=f"{option} 'nonsense' is unknown; known: {known}"):
        build(out, sources=sources, **{option: "nonsense"})  # type: ignore[arg-type]


def test_the_host_looks_for_the_libraries_that_are_built() -> None:
    assert library_name() == LIBRARY
    assert set(c_compilers.VARIANTS) == {"llama3", *(f"llama3-{level}" for level in LEVELS)}


def test_building_needs_the_standard_library_only() -> None:
    """As in the environments in which pip builds wheels."""
    command = [sys.executable, "-S", "-c", "import tools.build_engine"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr == ""


def test_a_build_goes_on_when_nobody_reads() -> None:
    program = "from tools.running import tell; import sys; sys.stdin.read(); tell('a'); tell('b'); sys.exit(3)"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        assert process.communicate() == (None, b"")
    assert process.returncode == 3


def test_other_languages_take_no_options_of_the_engine() -> None:
    command = [sys.executable, "-m", "invoke", "build", "--targets", "js", "--profile", "portable"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "build: --targets goes with --out only: fut and the compiler of each language build them\n"


def test_no_sources_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no \.fu files"):
        build(tmp_path / "out", sources=tmp_path)


# zig, and other targets

THREADS = ["THREADS"]
"""Symbols of the systems that have threads."""

needs_zig = pytest.mark.skipif(find_zig() is None, reason="needs zig: pip install ziglang")


@pytest.fixture
def only_zig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide all other C compilers."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


@needs_zig
@pytest.mark.usefixtures("only_zig")
def test_zig_compiles_where_nothing_else_does(sources: Path, out: Path) -> None:
    build(out, compiler="pyfut", sources=sources)
    manifest = read_manifest(out)
    assert manifest["cc"] == f"{find_zig()} cc"
    assert re.fullmatch(r"zig [\d.]+, clang version .*", manifest["cc_version"])
    flags = manifest["cflags"]["llama3.c"]
    assert {"-O3", "-Werror", "-mcpu=native", "-fomit-frame-pointer"} < set(flags)
    assert flags[flags.index("-Xclang") + 1] == "-O3"
    assert ctypes.CDLL(str(out / LIBRARY)).Kernels_Symbols() == 2


@needs_zig
@needs_cc
def test_zig_uses_the_instructions_that_gcc_does(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defines = []
    for cc in ("cc", f"{sys.executable} -m ziglang cc"):
        for profile in ("local", "portable"):
            out = tmp_path / str(len(defines))
            build(out, compiler="pyfut", cc=cc, profile=profile, sources=sources)
            defines.append(read_manifest(out)["defines"])
    assert defines[:2] == defines[2:]


@needs_zig
@pytest.mark.parametrize(
    ("target", "files", "symbols"),
    [
        (
            "x86_64-linux-gnu",
            ["libllama3.so", "libllama3-x86-64-v3.so", "libllama3-x86-64-v4-vnni.so"],
            [[*THREADS, "SSE2"], [*THREADS, "SSE2", "AVX2"], [*THREADS, "SSE2", "AVX2", "VNNI"]],
        ),
        (
            "aarch64-linux-musl",
            ["libllama3.so", "libllama3-aarch64-dotprod.so"],
            [[*THREADS, "NEON"], [*THREADS, "NEON", "DOTPROD"]],
        ),
        ("aarch64-macos", ["libllama3.dylib"], [[*THREADS, "NEON", "DOTPROD"]]),
        ("wasm32", ["llama3.wasm"], [["SIMD128"]]),
        ("wasm32-threads", ["llama3.wasm"], [["THREADS", "ATOMICS", "SIMD128"]]),
    ],
)
@pytest.mark.usefixtures("only_zig")
def test_targets_have_a_library_for_each_kind_of_processor(
    target: str, files: list[str], symbols: list[list[str]], sources: Path, out: Path
) -> None:
    build(out, compiler="pyfut", target=target, sources=sources)
    manifest = read_manifest(out)
    assert (manifest["target"], manifest["profile"]) == (target, "portable")
    variants = [Path(file).stem.removeprefix("lib") for file in files]
    assert manifest["defines"] == {
        "llama3.py": ["PYTHON"],
        **{f"{variant}.c": ["C", *names] for variant, names in zip(variants, symbols, strict=True)},
    }
    kept = {name for variant in variants for name in (f"{variant}.c", f"{variant}.h")}
    assert {path.name for path in out.iterdir()} == {*files, *kept, "llama3.py", "manifest.json"}
    magic = {".so": b"\x7fELF", ".dylib": b"\xcf\xfa\xed\xfe", ".wasm": b"\0asm"}
    for file in files:
        assert (out / file).read_bytes().startswith(magic[Path(file).suffix])


@needs_zig
@pytest.mark.usefixtures("only_zig")
def test_libraries_need_no_newer_glibc_than_their_wheel_says(sources: Path, out: Path) -> None:
    source = sources / "kernels.fu"
    source.write_text(SOURCE.replace("y[i] += x[i]", "y[i] += Math.Exp(x[i]) * Math.Pow(x[i], x[i])"))
    build(out, compiler="pyfut", target="aarch64-linux-gnu", sources=sources)
    versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", (out / "libllama3.so").read_bytes())
    assert {(int(major), int(minor)) for major, minor in versions} == {(2, 17)}
    assert TARGETS["aarch64-linux-gnu"].wheel_tag == "manylinux_2_17_aarch64"


def test_a_target_without_zig_tells_how_to_get_it(sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(c_compilers, "find_zig", lambda: None)
    with pytest.raises(BuildError, match=r"^no C compiler for aarch64-macos; to get one: pip install ziglang$"):
        build(out, compiler="pyfut", target="aarch64-macos", sources=sources)
    assert not out.exists()


@needs_cc
def test_a_compiler_for_another_target_is_refused(sources: Path, out: Path) -> None:
    with pytest.raises(BuildError, match=r"^no working C compiler for wasm32 \('cc' fails on a small program\)"):
        build(out, compiler="pyfut", cc="cc", target="wasm32", sources=sources)


def test_code_for_this_machine_is_not_for_a_target(sources: Path, out: Path) -> None:
    with pytest.raises(BuildError, match=r"^profile 'local' is for this machine; for wasm32: portable or debug$"):
        build(out, compiler="pyfut", profile="local", target="wasm32", sources=sources)


# wheels


def make_wheel(folder: Path, target: str) -> Path:
    """Return a wheel made of the sdist of a checkout with the stand-in for the engine."""
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__"))
    for path in (checkout / "src").glob("*.fu"):
        path.unlink()
    (checkout / "src" / "kernels.fu").write_text(SOURCE)
    run_python("-c", f"from setuptools.build_meta import build_sdist; build_sdist({str(folder)!r})", cwd=checkout)
    (sdist,) = folder.glob("*.tar.gz")
    run_python("-m", "tarfile", "-e", str(sdist), str(folder / "unpacked"), cwd=folder)
    (unpacked,) = (folder / "unpacked").iterdir()
    compiler = [path.relative_to(ROOT) for path in (ROOT / "pyfut").rglob("*.py")]
    assert [path for path in compiler if not (unpacked / path).is_file()] == []
    options = ("--no-build-isolation", "--no-deps", "--no-index", "-w", str(folder))
    run_python("-m", "pip", "wheel", *options, ".", cwd=unpacked, PYLLAMA3_TARGET=target)
    (wheel,) = folder.glob("*.whl")
    return wheel


def run_python(*arguments: str, cwd: Path, **variables: str) -> None:
    environment = {**os.environ, **variables}
    environment.pop("FUT", None)  # the sdist brings its compiler
    subprocess.run([sys.executable, *arguments], cwd=cwd, check=True, capture_output=True, env=environment)


def engine_files(wheel: Path) -> set[str]:
    """Return the names of all files of a wheel, of those of the engine without their folder."""
    with zipfile.ZipFile(wheel) as archive:
        return {name.removeprefix("pyllama3/_engine/") for name in archive.namelist()}


@needs_cc
def test_wheel_made_of_the_sdist_holds_the_engine_and_works_elsewhere(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "")
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    names = engine_files(wheel)
    assert {"llama3.py", "llama3.h", LIBRARY, "manifest.json", "kernels.fu"} < names
    assert {"pyllama3/py.typed", "pyllama3/analysis/pages/explain.html"} < names
    assert {"pyllama3/_docs/tour.md", "pyllama3/_docs/tour/road.svg"} < names
    assert {name.split("/")[0] for name in names if "/" in name and "dist-info" not in name} == {"pyllama3"}

    site = tmp_path / "site"
    run_python("-m", "pip", "install", "--no-deps", "--no-index", "--target", str(site), str(wheel), cwd=tmp_path)
    engine = site / "pyllama3" / "_engine"
    assert "-march=native" not in (engine / build_engine.MANIFEST).read_text()
    assert ctypes.CDLL(str(engine / LIBRARY)).Kernels_Symbols() == 2
    assert load_python(engine / "llama3.py").Kernels.symbols() == 1


@needs_zig
@pytest.mark.parametrize(
    ("target", "platform", "library"),
    [
        ("aarch64-linux-gnu", "manylinux_2_17_aarch64", "libllama3.so"),
        ("aarch64-linux-musl", "musllinux_1_2_aarch64", "libllama3-aarch64-dotprod.so"),
        ("aarch64-macos", "macosx_11_0_arm64", "libllama3.dylib"),
        ("wasm32", "any", "llama3.wasm"),
    ],
)
def test_wheels_for_other_machines(target: str, platform: str, library: str, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, target)
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")
    assert {library, "llama3.h", "llama3.py", "manifest.json"} < engine_files(wheel)
