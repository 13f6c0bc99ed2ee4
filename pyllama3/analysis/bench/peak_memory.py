"""The most memory that the process had at once."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc/self")


def reset_peak() -> None:
    """Start to measure anew; where the system cannot, the peak is that of the whole life of the process."""
    with suppress(OSError):
        (_PROC / "clear_refs").write_text("5")  # Linux: sets the peak to what there is now


def peak_memory() -> int:
    """Return the largest resident memory in bytes since `reset_peak`, pages of mapped files included; 0 if unknown."""
    try:
        match = re.search(r"^VmHWM:\s*(\d+) kB", (_PROC / "status").read_text(), re.MULTILINE)
    except OSError:
        match = None
    if match:
        return int(match[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 0
