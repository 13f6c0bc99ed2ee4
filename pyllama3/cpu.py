"""How many processor cores there are to compute on."""

from __future__ import annotations

import os
from pathlib import Path


def physical_cores() -> int:
    """Return the number of physical cores this process may use: a second thread on one core slows kernels down."""
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = {_siblings(cpu) for cpu in available}
    return max(1, len(siblings))


def _siblings(cpu: int) -> str:
    """Return what the logical processors of one core have in common (Linux sysfs), or the processor itself."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(cpu)
