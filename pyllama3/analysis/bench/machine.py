"""What a measurement ran on, without which its numbers mean little."""

from __future__ import annotations

import platform
from datetime import datetime, timezone

from ... import __version__
from ...backends import find_variant, library_name, read_manifest
from ...cpu import physical_cores, processor_name


def describe_machine() -> dict[str, str | int]:
    """Return processor, cores, systems, versions and date."""
    manifest = read_manifest()
    variant = find_variant()
    return {
        "cpu_info": processor_name(),
        "cores": physical_cores(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "pyllama3": __version__,
        "fusion_compiler": f"{manifest['compiler']} {manifest['compiler_version']}",
        "c_compiler": manifest["cc_version"] or "none",
        "library": library_name(variant),
        "cflags": " ".join(manifest["cflags"].get(f"{variant}.c", [])),
        "test_time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def processor_title() -> str:
    """Return the processor and its cores, as a heading of measurements says them."""
    return f"{processor_name()}, {physical_cores()} cores"
