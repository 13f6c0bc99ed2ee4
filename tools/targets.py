"""What the engine is compiled for: this machine, others, and WebAssembly."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from pyllama3.backends.build_folder import library_name

from .running import BuildError


@dataclass(frozen=True)
class Target:
    """Processor and system that a library is for."""

    name: str
    """As in `--target`; empty for this machine."""
    triple: str
    """As in `zig cc -target`; empty for this machine."""
    condition: str
    """What the preprocessor of a C compiler for it finds true."""
    platform: str
    """What Python calls the system."""
    wheel_tag: str
    """Platform in the names of wheels; empty for that of this machine."""
    flags: tuple[str, ...] = ()
    """What code for it needs of any C compiler."""
    link_flags: tuple[str, ...] = ()
    """What linking for it needs, too."""

    def file(self, variant: str) -> str:
        """Return the file name of a library."""
        return library_name(variant, self.platform)

    @property
    def has_pthreads(self) -> bool:
        """Whether its threads are those of POSIX."""
        return self.platform not in ("wasi", "win32")

    @property
    def is_wasm(self) -> bool:
        """Whether it is a module of WebAssembly, which exports what it is told to."""
        return self.platform == "wasi"


PROCESSORS = {"x86_64": "__x86_64__", "aarch64": "__aarch64__"}
"""Macros of C compilers, by the names that targets begin with."""
SYSTEMS = {
    "linux-gnu": ("linux-gnu.2.17", "defined(__linux__) && defined(__GLIBC__)", "linux", "manylinux_2_17_{}"),
    "linux-musl": ("linux-musl", "defined(__linux__) && !defined(__GLIBC__)", "linux", "musllinux_1_2_{}"),
    "windows-gnu": ("windows-gnu", "defined(_WIN32)", "win32", "win_{}"),
    "macos": ("macos.11.0", "defined(__APPLE__)", "darwin", "macosx_11_0_{}"),
}
"""What zig calls it, the preprocessor's condition, what Python calls it and the platform tag of wheels.

Libraries run with the glibc of manylinux2014 (PEP 599) or a newer one, or with musl from 1.2 on (PEP 656).
"""
WHEEL_PROCESSORS = {
    ("x86_64", "windows-gnu"): "amd64",
    ("aarch64", "windows-gnu"): "arm64",
    ("aarch64", "macos"): "arm64",
}
"""Processors that tags of wheels name in the way of a system."""


SHARED_MEMORY = (
    "-Wl,--shared-memory",
    "-Wl,--import-memory",
    f"-Wl,--initial-memory={32 << 20}",
    f"-Wl,--max-memory={(1 << 32) - (1 << 16)}",
    "-Wl,--export=__stack_pointer",
    "-Wl,--export=__tls_size",
    "-Wl,--export=__wasm_init_tls",
)
"""Makes a module whose host gives it its memory, which threads share, and to each thread a stack."""


def _make_targets() -> dict[str, Target]:
    targets = {}
    for processor, macro in PROCESSORS.items():
        for system, (triple, condition, platform, tag) in SYSTEMS.items():
            name = f"{processor}-{system}"
            targets[name] = Target(
                name,
                f"{processor}-{triple}",
                f"defined({macro}) && {condition}",
                platform,
                tag.format(WHEEL_PROCESSORS.get((processor, system), processor)),
            )
    # anything that runs WebAssembly runs it, so that its wheel is for any platform
    targets["wasm32"] = Target("wasm32", "wasm32-wasi", "defined(__wasm32__)", "wasi", "any", ("-msimd128",))
    targets["wasm32-threads"] = replace(
        targets["wasm32"],
        name="wasm32-threads",
        flags=("-msimd128", "-matomics", "-mbulk-memory"),
        link_flags=SHARED_MEMORY,
    )
    return targets


TARGETS = _make_targets()
HOST = Target("", "", "1", sys.platform, "")


def find_target(name: str) -> Target:
    """Return a target by its name; without one, this machine.

    Raises:
        BuildError: there is no such target.
    """
    if not name:
        return HOST
    if name not in TARGETS:
        raise BuildError(f"target '{name}' is unknown; known: {', '.join(TARGETS)}")
    return TARGETS[name]
