"""Backends: the generated engine in one language each, behind one interface.

The classes of an engine (`Llama3Model`, `Llama3State`, `Sampler`, `Kernels`, ...) and their methods are those of the
Fusion sources, spelled as in generated Python (`set_shape`). Only this package knows how they are called.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..arguments import shown, text
from ..errors import BackendError
from .build_folder import (
    BACKENDS,
    default_backend,
    engine_dir,
    engine_file,
    find_variant,
    is_available,
    is_built,
    library_name,
    read_manifest,
)
from .engine import Engine

__all__ = [
    "BACKENDS",
    "Engine",
    "default_backend",
    "engine_dir",
    "find_variant",
    "is_available",
    "is_built",
    "library_name",
    "load_engine",
    "read_manifest",
]


def load_engine(name: str | None = None, folder: Path | None = None) -> Engine:
    """Load an engine from a build folder (default: `engine_dir`); without a name the default one.

    Raises:
        BackendError: the name is unknown, that engine has not been built, or a package that it needs is not installed.
    """
    folder = folder or engine_dir()
    name = default_backend(folder) if name is None else text("backend", name)
    if name not in BACKENDS:
        raise BackendError(f"backend {shown(name)} is unknown; known: {', '.join(BACKENDS)}")
    path = engine_file(name, folder)
    if not path.is_file():
        how = {"c": "'invoke build' (needs a C compiler)", "wasm": "'invoke build --target wasm32'"}
        command = how.get(name, "'invoke build'")
        raise BackendError(f"backend '{name}' has not been built: {path} is missing; run {command}")
    if not is_available(name, folder):
        raise BackendError(f"backend '{name}' needs a package: pip install 'pyllama3[{name}]'")
    loader: Callable[[Path], Engine]
    if name == "c":
        from .c import load as loader
    elif name == "wasm":
        from .wasm import load as loader
    else:
        from .python import load as loader
    return loader(folder)
