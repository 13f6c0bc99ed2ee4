"""What the processor is, what it can do, and how many cores there are to compute on."""

from __future__ import annotations

import math
import os
import platform
import re
import sys
from contextlib import suppress
from pathlib import Path

from .arguments import integer

_X86_64_V3 = {
    *("cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"),
    *("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"),
}
_X86_64_V4 = _X86_64_V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
LEVELS = {"x86-64-v4-vnni": _X86_64_V4 | {"avx512_vnni"}, "x86-64-v3": _X86_64_V3, "aarch64-dotprod": {"asimddp"}}
"""Features, as Linux spells them, of the processors that portable builds have libraries for, the fastest first.

v3 and v4 are levels of the x86-64 psABI (its microarchitecture levels). Libraries for Arm on macOS need no level: all
processors of Apple have the dot products.
"""
_SPELLINGS = {"abm": "lzcnt", "avx1.0": "avx", "avx512vnni": "avx512_vnni", "lahf": "lahf_lm"}
_SPELLINGS |= {"sse4.1": "sse4_1", "sse4.2": "sse4_2"}
"""Features that systems spell otherwise; Linux lists lzcnt under the name AMD gave it together with popcnt."""

MAX_THREADS = 1024
"""Most threads that may compute."""

_CPUINFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup")


def processor_levels() -> list[str]:
    """Return the names in `LEVELS` of what this processor has; none where that is not known."""
    features = _linux_cpuinfo("flags") or _linux_cpuinfo("Features")  # of x86 and of Arm
    return levels_of(features or _macos_sysctl("features", "leaf7_features", "extfeatures"))


def levels_of(features: str) -> list[str]:
    """Return the names in `LEVELS` that a list of features, with spaces and as Linux or macOS spell them, covers."""
    names = {_SPELLINGS.get(name, name) for name in features.lower().split()}
    return [level for level, required in LEVELS.items() if required <= names]


def processor_name() -> str:
    """Return the name of the processor, such as "AMD EPYC 7763 64-Core Processor"."""
    return _linux_cpuinfo("model name") or _macos_sysctl("brand_string") or platform.processor() or platform.machine()


def physical_cores() -> int:
    """Return the number of physical cores this process may use: a second thread on one core slows kernels down.

    Affinity and the CPU quota of a container (control groups of Linux) are heeded.
    """
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = {_siblings(cpu) for cpu in available}
    quota = _quota()
    return len(siblings) if math.isinf(quota) else max(1, min(len(siblings), math.ceil(quota)))


def choose_threads(threads: int | None) -> int:
    """Return how many threads are to compute: as many as asked for, by default one per physical core.

    Raises:
        OptionError: the number is out of range.
    """
    return physical_cores() if threads is None else integer("threads", threads, least=1, most=MAX_THREADS)


def _quota() -> float:
    """Return how many processors' time the control group of this process gets, infinity if there is no limit."""
    with suppress(OSError, ValueError):  # version 2: "max 100000", or microseconds in each period of so many
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError):  # version 1: -1 for no limit
        quota, period = ((_CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    return math.inf


def _siblings(cpu: int) -> str:
    """Return what the logical processors of one core have in common (Linux sysfs), or the processor itself."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)


def _linux_cpuinfo(field: str) -> str:
    """Return a field of the first processor in /proc/cpuinfo, "" if there is none."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(rf"^{field}\s*:(.*)$", text, re.MULTILINE)
    return match[1].strip() if match else ""


def _macos_sysctl(*names: str) -> str:
    """Return the values of some machdep.cpu names on macOS, "" elsewhere; Apple's own processors have few of them."""
    if sys.platform != "darwin":
        return ""
    import subprocess  # takes 10 ms, and other systems do not need it

    command = ["sysctl", "-n", *(f"machdep.cpu.{name}" for name in names)]
    return " ".join(subprocess.run(command, capture_output=True, text=True).stdout.split())
