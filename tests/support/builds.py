"""Engines beside the backends: C and generated Python for any processor, and C for another one, run by an emulator."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from engines import built_engine
from paths import ROOT
from remote import RemoteEngine, Server, server_source

from pyllama3.backends import BACKENDS, Engine, c, engine_dir, python, read_manifest
from tools.running import run_or_fail
from tools.transpilers import find_transpiler

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
    folder = factory.mktemp("engine")
    if name == "plain python":
        return plain_python(folder)
    return emulated("llama3-aarch64-dotprod" if "dotprod" in name else "llama3", folder)


def plain_python(folder: Path) -> Engine:
    """Return generated Python without native blocks, which is written to a folder."""
    sources = sorted((ROOT / "src").glob("*.fu"))
    find_transpiler("auto", print).translate(sources, [], folder / "llama3.py")
    return python.load(folder)


def emulated(variant: str, folder: Path) -> Engine:
    """Return the C engine for another processor, with what it needs written to a folder."""
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if qemu is None:
        pytest.skip("needs qemu-aarch64: apt install qemu-user-static")
    built = engine_dir() / AARCH64
    if not (built / "manifest.json").is_file():
        pytest.skip(f"needs invoke build --target {AARCH64}")
    manifest = read_manifest(built)
    header, server = built / f"{variant}.h", folder / "server"
    shutil.copy(header, folder / "llama3.h")  # as it is called in the source of the server
    (folder / "server.c").write_text(server_source(header), encoding="utf-8")
    command = [*shlex.split(manifest["cc"]), *manifest["cflags"][f"{variant}.c"]]
    run_or_fail([*command, "-c", "-o", f"{server}.o", f"{server}.c"], "the server")
    run_or_fail([*command, "-o", str(server), f"{server}.o", str(built / f"{variant}.c"), "-lm"], "the server")
    processor = "max" if variant != "llama3" else "cortex-a57"  # the last has no dot products of bytes
    return RemoteEngine(f"aarch64 {variant}", header, Server([qemu, "-cpu", processor, str(server)]))
