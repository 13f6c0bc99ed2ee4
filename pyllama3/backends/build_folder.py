"""What has been built, and where. Standard library only: tools/ takes names from here."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from ..cpu import processor_levels
from ..errors import BackendError
from ..files import PACKAGE

MANIFEST = "manifest.json"
BACKENDS = ("c", "wasm", "python")
"""Names of the backends, the fastest first."""


def engine_dir() -> Path:
    """Return the folder of the engine: `$PYLLAMA3_BUILD`, else that of the wheel, else that of the checkout."""
    chosen = os.environ.get("PYLLAMA3_BUILD")
    if chosen:
        return Path(chosen)
    packaged = PACKAGE / "_engine"
    return packaged if packaged.is_dir() else PACKAGE.parent / "build"


def read_manifest(folder: Path | None = None) -> dict[str, Any]:
    """Return what made the build in a folder (default: `engine_dir`).

    Raises:
        BackendError: nothing has been built there.
    """
    path = (folder or engine_dir()) / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BackendError(f"{path.parent}: the engine has not been built; run 'invoke build'") from None
    except (OSError, ValueError) as error:
        raise BackendError(f"{path}: {error}; run 'invoke build'") from None
    return manifest


def default_backend(folder: Path | None = None) -> str:
    """Return the fastest backend that can be loaded from a build folder (default: `engine_dir`)."""
    return next((name for name in BACKENDS if is_available(name, folder)), BACKENDS[-1])


def library_name(variant: str = "llama3", platform: str = sys.platform) -> str:
    """Return the file name of the compiled engine, or of a variant for some processors only, on a `sys.platform`."""
    names = {"darwin": ("lib", ".dylib"), "win32": ("", ".dll"), "wasi": ("", ".wasm")}
    prefix, suffix = names.get(platform, ("lib", ".so"))
    return f"{prefix}{variant}{suffix}"


def find_variant(folder: Path | None = None) -> str:
    """Return the fastest variant in a build folder (default: `engine_dir`) that this processor runs.

    Builds for this machine have one, wheels several.
    """
    names = [f"llama3-{level}" for level in processor_levels()]
    return next((name for name in names if ((folder or engine_dir()) / library_name(name)).is_file()), "llama3")


def is_built(name: str, folder: Path | None = None) -> bool:
    """Tell whether a build folder (default: `engine_dir`) has a backend."""
    return engine_file(name, folder or engine_dir()).is_file()


def is_available(name: str, folder: Path | None = None) -> bool:
    """Tell whether a backend has been built (default folder: `engine_dir`) and what it needs is installed."""
    return is_built(name, folder) and (name != "wasm" or importlib.util.find_spec("wasmtime") is not None)


def engine_file(name: str, folder: Path) -> Path:
    """Return the file of a backend in a build folder, which may be that of the target wasm32 or have it inside."""
    if name == "wasm":
        path = folder / library_name(platform="wasi")
        return path if path.is_file() else folder / "wasm32" / path.name
    return folder / {"c": library_name(), "python": "llama3.py"}[name]
