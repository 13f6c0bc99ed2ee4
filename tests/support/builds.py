"""Engines beside the backends: C and generated Python for any processor, and C for another one, run by an emulator."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import tempfile
from pathlib import Path

import pytest
from engines import built_engine
from paths import ROOT
from remote import RemoteEngine, Server, server_source

from pyllama3.backends import BACKENDS, Engine, c, engine_dir, python, read_manifest
from pyllama3.files import exclusive
from tools.build_engine import build
from tools.running import run_or_fail
from tools.transpilers import find_transpiler

KEPT = ROOT / "build" / "tests"
"""What takes long to compile, from one run of the tests to the next; safe for several at once."""
AARCH64 = "aarch64-linux-musl"
"""The target that is run by an emulator."""
EVERYWHERE = (*BACKENDS, "plain", AARCH64, f"{AARCH64}, dotprod")
"""The backends, C without instructions that only some processors have, and C for other processors."""


def find_engine(request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Engine:
    """Return what the parameter of a fixture names: one of `EVERYWHERE`, or "plain python"."""
    name = request.param
    if name in BACKENDS:
        return built_engine(name)
    if name == "plain":
        return c.load(request.getfixturevalue("portable"), "llama3")
    if name == "plain python":
        return plain_python(factory.mktemp("engine"))
    return emulated("llama3-aarch64-dotprod" if "dotprod" in name else "llama3")


def plain_python(folder: Path) -> Engine:
    """Return generated Python without native blocks, which is written to a folder."""
    sources = sorted((ROOT / "src").glob("*.fu"))
    find_transpiler("auto", print).translate(sources, [], folder / "llama3.py")
    return python.load(folder)


def portable_build() -> Path:
    """Return the folder of a build for any processor, and for some others; kept while the sources are the same."""
    build(KEPT / "portable", profile="portable")
    return KEPT / "portable"


def emulated(variant: str) -> Engine:
    """Return the C engine for another processor; its program is kept while the sources are the same."""
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if qemu is None:
        pytest.skip("needs qemu-aarch64: apt install qemu-user-static")
    built = engine_dir() / AARCH64
    if not (built / "manifest.json").is_file():
        pytest.skip(f"needs invoke build --target {AARCH64}")
    manifest = read_manifest(built)
    header, code = built / f"{variant}.h", built / f"{variant}.c"
    source = server_source(header)
    command = [*shlex.split(manifest["cc"]), *manifest["cflags"][code.name]]
    made_of = "\n".join([source, code.read_text("utf-8"), *command])
    server = KEPT / f"{variant}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    with exclusive(server), tempfile.TemporaryDirectory() as folder:
        if not server.exists():
            program = Path(folder, "server")
            shutil.copy(header, Path(folder, "llama3.h"))  # as it is called in the source of the server
            program.with_suffix(".c").write_text(source, encoding="utf-8")
            run_or_fail([*command, "-c", "-o", f"{program}.o", f"{program}.c"], "the server")
            run_or_fail([*command, "-o", f"{program}", f"{program}.o", f"{code}", "-lm"], "the server")
            shutil.copy(program, f"{server}.new")
            os.replace(f"{server}.new", server)
    processor = "max" if variant != "llama3" else "cortex-a57"  # the last has no dot products of bytes
    return RemoteEngine(f"aarch64 {variant}", header, Server([qemu, "-cpu", processor, str(server)]))
