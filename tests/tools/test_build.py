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
from tools import build_engine
from tools.build_engine import LIBRARY, ROOT, BuildError, build

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
#elif OPENMP
		return 6;
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
    assert library.Kernels_Symbols() == (6 if read_manifest(out)["openmp"] else 2)


def pointer(values: array.array[float]) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.buffer_info()[0])


def allowed(flags: list[str]) -> list[str]:
    """Return the symbols of instructions that the compiler may use."""
    command = ["cc", *flags, "-dM", "-E", "-xc", os.devnull]
    macros = set(subprocess.check_output(command, text=True).split())
    avx2 = {"__AVX2__", "__FMA__", "__F16C__"} <= macros
    vnni = avx2 and {"__AVX512VNNI__", "__AVX512VL__"} <= macros
    return ["AVX2"] * avx2 + ["VNNI"] * vnni


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
    assert ("-fopenmp" in flags) == manifest["openmp"]
    symbols = ["C"] + ["OPENMP"] * bool(manifest["openmp"]) + allowed(flags)
    assert manifest["defines"] == {"llama3.py": ["PYTHON"], "llama3_plain.py": [], "llama3.c": symbols}
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
    if reason == "no compiler on the PATH":
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        monkeypatch.setenv("CC", "/nonexistent" if reason == "CC is not there" else "false")
    build(out, compiler="pyfut", sources=sources, say=lines.append)
    assert load_python(out / "llama3.py").Kernels.symbols() == 1
    assert not (out / LIBRARY).exists()
    manifest = read_manifest(out)
    assert (manifest["cc"], manifest["cflags"], manifest["openmp"]) == (None, {}, False)
    notice, summary = lines
    assert "C compiler" in notice
    assert "only the python backend is built" in notice
    assert "install" in notice
    assert LIBRARY not in summary


@needs_cc
def test_without_openmp_one_thread_is_announced(
    compiler: str, sources: Path, out: Path, lines: list[str], tmp_path: Path
) -> None:
    cc = executable(tmp_path / "cc", f'case "$*" in *-fopenmp*) exit 1;; esac; exec {shutil.which("cc")} "$@"')
    build(out, compiler=compiler, cc=str(cc), sources=sources, say=lines.append)
    manifest = read_manifest(out)
    assert manifest["openmp"] is False
    assert "-Wextra" in manifest["cflags"]["llama3.c"]
    assert ctypes.CDLL(str(out / LIBRARY)).Kernels_Symbols() == 2
    assert "has no OpenMP" in lines[0]
    assert len(lines) == 2


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


@pytest.mark.parametrize("option", ["compiler", "profile"])
def test_unknown_option_lists_the_known(option: str, sources: Path, out: Path) -> None:
    known = {"compiler": "auto, fut, pyfut", "profile": "local, portable, debug, sanitize"}[option]
    with pytest.raises(BuildError, match=f"{option} 'nonsense' is unknown; known: {known}"):
        build(out, sources=sources, **{option: "nonsense"})  # type: ignore[arg-type]


def test_the_host_looks_for_the_libraries_that_are_built() -> None:
    assert library_name() == LIBRARY
    assert set(build_engine.VARIANTS) == {"llama3", *(f"llama3-{level}" for level in LEVELS)}


def test_building_needs_the_standard_library_only() -> None:
    """As in the environments in which pip builds wheels."""
    command = [sys.executable, "-S", "-c", "import tools.build_engine"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr == ""


def test_no_sources_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no \.fu files"):
        build(tmp_path / "out", sources=tmp_path)


@needs_cc
def test_wheel_made_of_the_sdist_holds_the_engine_and_works_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FUT", raising=False)  # the sdist brings its compiler
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__"))
    for path in (checkout / "src").glob("*.fu"):
        path.unlink()
    (checkout / "src" / "kernels.fu").write_text(SOURCE)

    def python(*arguments: str, cwd: Path) -> None:
        subprocess.run([sys.executable, *arguments], cwd=cwd, check=True, capture_output=True)

    python("-c", f"from setuptools.build_meta import build_sdist; build_sdist({str(tmp_path)!r})", cwd=checkout)
    (sdist,) = tmp_path.glob("*.tar.gz")
    python("-m", "tarfile", "-e", str(sdist), str(tmp_path / "unpacked"), cwd=tmp_path)
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    compiler = [path.relative_to(ROOT) for path in (ROOT / "pyfut").rglob("*.py")]
    assert [path for path in compiler if not (unpacked / path).is_file()] == []

    options = ("--no-build-isolation", "--no-deps", "--no-index")
    python("-m", "pip", "wheel", *options, "-w", str(tmp_path), ".", cwd=unpacked)
    (wheel,) = tmp_path.glob("*.whl")
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = ("llama3.py", "llama3_plain.py", "llama3.h", LIBRARY, "manifest.json", "kernels.fu")
    assert {f"pyllama3/_engine/{name}" for name in files} < names
    assert {"pyllama3/py.typed", "pyllama3/analysis/pages/explain.html"} < names
    assert {"pyllama3/_docs/tour.md", "pyllama3/_docs/tour/road.svg"} < names
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"pyllama3"}

    site = tmp_path / "site"
    python("-m", "pip", "install", "--no-deps", "--no-index", "--target", str(site), str(wheel), cwd=tmp_path)
    engine = site / "pyllama3" / "_engine"
    assert "-march=native" not in (engine / build_engine.MANIFEST).read_text()
    assert ctypes.CDLL(str(engine / LIBRARY)).Kernels_Symbols() in (2, 6)
    assert load_python(engine / "llama3.py").Kernels.symbols() == 1
