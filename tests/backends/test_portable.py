"""Builds for wheels: on x86-64 several libraries, one of them for any processor, and the choice between them.

The witnesses are flags of real processors and objdump. To add a case: the flags of a processor, and the levels it
has.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from engines import QUANTIZED_NMSE, load_tiny, nmse
from tiny_models import random_tensors, tiny_config

from pyllama3 import cpu
from pyllama3.backends import build_folder, find_variant, library_name, load_engine
from pyllama3.backends.c import load as load_c
from pyllama3.config import PRECISIONS
from pyllama3.cpu import LEVELS, levels_of, processor_levels
from pyllama3.runtime.session import Session
from pyllama3.weights import TensorType

BASELINE = "llama3"
V3, V4, DOTPROD = "x86-64-v3", "x86-64-v4-vnni", "aarch64-dotprod"
IDS = [1, 200, 3, 77, 5, 6]

# what /proc/cpuinfo and sysctl say
ZEN3 = (
    "fpu vme de pse tsc msr sse sse2 ht syscall nx mmxext fxsr_opt rdtscp lm pni pclmulqdq ssse3 fma cx16 sse4_1 "
    "sse4_2 x2apic movbe popcnt aes xsave avx f16c rdrand hypervisor lahf_lm abm sse4a avx2 bmi1 bmi2 erms adx vaes"
)
ZEN4 = f"{ZEN3} avx512f avx512dq avx512ifma avx512cd avx512bw avx512vl avx512_bf16 avx512vbmi avx512_vnni avx512_bitalg"
IVY_BRIDGE = (
    "fpu vme de pse tsc msr sse sse2 ht syscall nx rdtscp lm pni pclmulqdq ssse3 cx16 sse4_1 sse4_2 x2apic popcnt aes "
    "xsave avx f16c rdrand lahf_lm fsgsbase erms"
)
MAC = (
    "FPU VME DE PSE TSC MSR SSE SSE2 HTT SSE3 PCLMULQDQ SSSE3 FMA CX16 SSE4.1 SSE4.2 x2APIC MOVBE POPCNT AES XSAVE "
    "OSXSAVE AVX1.0 RDRAND F16C RDWRFSGS BMI1 AVX2 BMI2 ERMS SYSCALL XD 1GBPAGE EM64T LAHF LZCNT RDTSCP TSCI"
)
RASPBERRY_PI_4 = "fp asimd evtstrm crc32 cpuid"
RASPBERRY_PI_5 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"

needs_x86_64 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="only x86-64 has several")
VARIANTS = [
    BASELINE,
    *(
        pytest.param(
            f"llama3-{level}",
            marks=pytest.mark.skipif(level not in processor_levels(), reason=f"this processor is not {level}"),
        )
        for level in LEVELS
    ),
]


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
        (ZEN4, [V4, V3]),
        (ZEN4.replace(" avx512_vnni", " avx512vnni"), [V4, V3]),  # the spelling of macOS
        (ZEN4.replace(" avx512_vnni", ""), [V3]),
        (ZEN4.replace(" avx512vl", ""), [V3]),
        (ZEN3, [V3]),
        (MAC, [V3]),
        (IVY_BRIDGE, []),
        (ZEN4.replace(" avx2", ""), []),
        (ZEN3.replace(" movbe", ""), []),
        (ZEN3.replace(" abm", ""), []),
        (RASPBERRY_PI_4, []),
        (RASPBERRY_PI_5, [DOTPROD]),
        ("", []),
    ],
)
def test_which_levels_processors_have(features: str, expected: list[str]) -> None:
    assert levels_of(features) == expected


def test_features_come_from_cpuinfo(cpuinfo: Path) -> None:
    processor = "processor\t: {}\nmodel name\t: Fast One\nflags\t\t: {}\nbugs\t\t: avx2\n\n"
    cpuinfo.write_text(processor.format(0, ZEN3) + processor.format(1, ZEN3))
    assert processor_levels() == [V3]
    assert cpu.processor_name() == "Fast One"
    cpuinfo.write_text(processor.format(0, IVY_BRIDGE))
    assert not processor_levels()
    cpuinfo.write_text(f"processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: {RASPBERRY_PI_5}\n\n")
    assert processor_levels() == [DOTPROD]


@pytest.mark.skipif(platform.system() != "Linux", reason="other systems are asked in other ways")
def test_an_unknown_processor_gets_what_any_can_run(cpuinfo: Path, tmp_path: Path) -> None:
    for variant in (BASELINE, f"llama3-{V3}", f"llama3-{V4}"):
        (tmp_path / library_name(variant)).touch()
    assert not cpuinfo.exists()
    assert find_variant(tmp_path) == BASELINE
    cpuinfo.write_text(f"flags : {ZEN3}\n")
    assert find_variant(tmp_path) == f"llama3-{V3}"
    cpuinfo.write_text(f"flags : {ZEN4}\n")
    assert find_variant(tmp_path) == f"llama3-{V4}"
    (tmp_path / library_name(f"llama3-{V4}")).unlink()
    assert find_variant(tmp_path) == f"llama3-{V3}"
    (tmp_path / library_name(f"llama3-{V3}")).unlink()
    assert find_variant(tmp_path) == BASELINE


@needs_x86_64
def test_portable_builds_have_a_library_for_each_level(portable: Path) -> None:
    assert all((portable / library_name(variant)).is_file() for variant in (BASELINE, f"llama3-{V3}", f"llama3-{V4}"))


@needs_x86_64
@pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump")
def test_one_of_them_runs_on_any_processor(portable: Path) -> None:
    assert not avx_instructions(portable / library_name(BASELINE))
    assert len(avx_instructions(portable / library_name(f"llama3-{V3}"))) > 1000
    assert not any("dpbusd" in line for line in avx_instructions(portable / library_name(f"llama3-{V3}")))
    assert any("dpbusd" in line for line in avx_instructions(portable / library_name(f"llama3-{V4}")))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("type", [TensorType.Q4_0, TensorType.Q8_0, TensorType.F16])
def test_all_compute_the_same(
    portable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, type: TensorType
) -> None:
    monkeypatch.setattr(build_folder, "processor_levels", lambda: [variant.removeprefix("llama3-")])
    assert find_variant(portable) == variant
    engine = load_engine("c", portable)
    config = tiny_config()
    for precision in PRECISIONS:
        path = tmp_path / f"{precision}.gguf"
        model, reference = load_tiny(
            engine, path, config, random_tensors(config, 1), type, precision=precision, cache_type="f32"
        )
        logits = Session(model, context=16).feed(IDS, all_logits=True)
        assert nmse(logits, reference.forward(IDS, reference.cache())) < QUANTIZED_NMSE[model.activation_bits]


@pytest.mark.parametrize("type", [TensorType.Q4_0, TensorType.Q6_K, TensorType.F16])
def test_processors_with_one_instruction_for_products_and_sums_get_the_same_bits(
    portable: Path, tmp_path: Path, type: TensorType
) -> None:
    runnable = [f"llama3-{level}" for level in processor_levels() if (portable / f"llama3-{level}.h").exists()]
    if len(runnable) < 2:
        pytest.skip("needs a processor with AVX-512 VNNI")
    config = tiny_config(dim=256, hidden_dim=256, head_dim=64)
    logits = []
    for variant in runnable:
        engine, tensors = load_c(portable, variant), random_tensors(config, 1)
        model, _ = load_tiny(engine, tmp_path / "m.gguf", config, tensors, type, precision="default", cache_type="f16")
        logits.append(Session(model, context=16).feed(IDS, all_logits=True))
    np.testing.assert_array_equal(*logits)
