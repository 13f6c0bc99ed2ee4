"""Builds for wheels: on x86-64 two libraries, one for any processor, and the choice between them."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from engines import assert_forward, load_tiny, nmse
from tiny_models import random_tensors, tiny_config

from pyllama3 import backends, cpu
from pyllama3.backends import find_variant, library_name, load_engine
from pyllama3.cpu import has_x86_64_v3
from pyllama3.session import Session
from pyllama3.weights import TensorType
from tools.build_engine import build

BASELINE, NEWER = "llama3", "llama3-x86-64-v3"
IDS = [1, 200, 3, 77, 5, 6]
FAST_NMSE = 1e-3
"""Squared error of 8-bit activations relative to the square of the logits; a wrong instruction gives about 1."""

# what /proc/cpuinfo and sysctl say
ZEN3 = (
    "fpu vme de pse tsc msr sse sse2 ht syscall nx mmxext fxsr_opt rdtscp lm pni pclmulqdq ssse3 fma cx16 sse4_1 "
    "sse4_2 x2apic movbe popcnt aes xsave avx f16c rdrand hypervisor lahf_lm abm sse4a avx2 bmi1 bmi2 erms adx vaes"
)
IVY_BRIDGE = (
    "fpu vme de pse tsc msr sse sse2 ht syscall nx rdtscp lm pni pclmulqdq ssse3 cx16 sse4_1 sse4_2 x2apic popcnt aes "
    "xsave avx f16c rdrand lahf_lm fsgsbase erms"
)
MAC = (
    "FPU VME DE PSE TSC MSR SSE SSE2 HTT SSE3 PCLMULQDQ SSSE3 FMA CX16 SSE4.1 SSE4.2 x2APIC MOVBE POPCNT AES XSAVE "
    "OSXSAVE AVX1.0 RDRAND F16C RDWRFSGS BMI1 AVX2 BMI2 ERMS SYSCALL XD 1GBPAGE EM64T LAHF LZCNT RDTSCP TSCI"
)

needs_x86_64 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="only x86-64 has two libraries")
needs_newer = pytest.mark.skipif(not cpu.is_x86_64_v3(), reason="this processor cannot run the second library")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portable build of the engine."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on the PATH")
    folder = tmp_path_factory.mktemp("portable")
    build(folder, profile="portable")
    return folder


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is read instead of /proc/cpuinfo."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu, "_CPUINFO", path)
    return path


def avx_instructions(library: Path) -> list[str]:
    """Return the instructions of a library with AVX's encoding, whose names begin with a v, or its registers."""
    lines = subprocess.check_output(["objdump", "-d", "--no-show-raw-insn", str(library)], text=True).splitlines()
    # verr, verw and the virtualization's are older, but no compiler makes them
    return [line for line in lines if re.search(r":\s+v[a-z]|%[yz]mm", line)]


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (ZEN3, True),
        (MAC, True),
        (IVY_BRIDGE, False),
        (ZEN3.replace(" avx2", ""), False),
        (ZEN3.replace(" movbe", ""), False),
        (ZEN3.replace(" abm", ""), False),
        ("fp asimd evtstrm aes pmull sha1 sha2 crc32", False),
        ("", False),
    ],
)
def test_which_processors_are_newer(features: str, expected: bool) -> None:
    assert has_x86_64_v3(features) == expected


def test_features_come_from_cpuinfo(cpuinfo: Path) -> None:
    processor = "processor\t: {}\nmodel name\t: Fast One\nflags\t\t: {}\nbugs\t\t: avx2\n\n"
    cpuinfo.write_text(processor.format(0, ZEN3) + processor.format(1, ZEN3))
    assert cpu.is_x86_64_v3()
    assert cpu.processor_name() == "Fast One"
    cpuinfo.write_text(processor.format(0, IVY_BRIDGE))
    assert not cpu.is_x86_64_v3()


@pytest.mark.skipif(platform.system() != "Linux", reason="other systems are asked in other ways")
def test_an_unknown_processor_gets_what_any_can_run(cpuinfo: Path, tmp_path: Path) -> None:
    for variant in (BASELINE, NEWER):
        (tmp_path / library_name(variant)).touch()
    assert not cpuinfo.exists()
    assert find_variant(tmp_path) == BASELINE
    cpuinfo.write_text(f"flags : {ZEN3}\n")
    assert find_variant(tmp_path) == NEWER
    (tmp_path / library_name(NEWER)).unlink()
    assert find_variant(tmp_path) == BASELINE


@needs_x86_64
def test_portable_builds_have_two_libraries(folder: Path) -> None:
    assert all((folder / library_name(variant)).is_file() for variant in (BASELINE, NEWER))


@needs_x86_64
@pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump")
def test_one_of_them_runs_on_any_processor(folder: Path) -> None:
    assert not avx_instructions(folder / library_name(BASELINE))
    assert len(avx_instructions(folder / library_name(NEWER))) > 1000


@pytest.mark.parametrize("variant", [BASELINE, pytest.param(NEWER, marks=needs_newer)])
@pytest.mark.parametrize("type", [TensorType.Q4_0, TensorType.Q8_0, TensorType.F16])
def test_both_compute_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, type: TensorType
) -> None:
    monkeypatch.setattr(backends, "is_x86_64_v3", lambda: variant == NEWER)
    assert find_variant(folder) == variant
    engine = load_engine("c", folder)
    config = tiny_config()
    for exact in (True, False):
        path = tmp_path / f"{exact}.gguf"
        model, reference = load_tiny(engine, path, config, random_tensors(config, 1), type, exact=exact)
        logits = Session(model, context=16).feed(IDS, all_logits=True)
        expected = reference.forward(IDS, reference.cache())
        if exact:
            assert_forward(logits, expected)
        else:
            assert nmse(logits, expected) < FAST_NMSE
