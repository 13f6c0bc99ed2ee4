"""The engine in generated Python whose kernels numba compiles: for machines without a C compiler."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import BackendError
from ..files import cache_dir, replacing
from .arrays import zeros
from .numba_source import rewrite

SOURCE = "llama3_plain.py"
INSTALL = "pip install 'pyllama3[numba]'"


class _Memory:
    """Memory that numpy takes for writable: numba compiles a kernel again for arrays that are not."""

    def __init__(self, data: np.ndarray, dtype: np.dtype[Any]) -> None:
        self._data = data  # kept alive
        self.__array_interface__ = {
            "data": (data.ctypes.data, False),
            "shape": (data.nbytes // dtype.itemsize,),
            "typestr": dtype.str,
            "version": 3,
        }


class NumbaEngine:
    """The module with compiled kernels.

    Arrays are memoryviews of numpy's: what stays in Python gets Python's numbers from them, not single-precision ones.
    """

    name = "numba"
    packs = True

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def empty(self, dtype: str, length: int, *, sparse: bool = False) -> memoryview:
        """Return an array of zeros."""
        return zeros(dtype, length, sparse=sparse).data

    def view(self, data: np.ndarray, dtype: str) -> memoryview:
        """Return an array over the bytes of `data`, to be read only."""
        return np.asarray(_Memory(data, np.dtype(dtype))).data

    def numpy(self, array: memoryview, dtype: str) -> np.ndarray:
        """Return a numpy array over the same memory."""
        return np.asarray(array)


def is_compiled(folder: Path) -> bool:
    """Tell whether kernels of a build have been compiled on this machine before; others may follow."""
    return any(_module_path(folder).parent.glob("__pycache__/*.nbi"))


def load(folder: Path) -> NumbaEngine:
    """Load the engine of a build folder; kernels are compiled when they are first called, and kept on disk.

    Raises:
        BackendError: numba is not installed, or the generated file can not be used.
    """
    if importlib.util.find_spec("numba") is None:
        raise BackendError(f"backend 'numba' needs the package numba: {INSTALL}")
    path = _module_path(folder)
    try:
        if not path.exists():
            _write(path, rewrite((folder / SOURCE).read_text(encoding="utf-8"), SOURCE))
        return NumbaEngine(_import(path))
    except (OSError, SyntaxError, ImportError) as error:
        raise BackendError(f"{folder / SOURCE}: {error}; run 'invoke build'") from None


def _module_path(folder: Path) -> Path:
    """Return where the rewritten module is kept: in a folder named after all that it was made from."""
    digest = hashlib.sha256((folder / SOURCE).read_bytes())
    for name in ("numba_source.py", "c_arithmetic.py"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    return cache_dir() / "numba" / digest.hexdigest()[:16] / "llama3_numba.py"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text.encode())


def _import(path: Path) -> ModuleType:
    name = f"pyllama3_numba_{path.parent.name}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where numba looks for it when it loads compiled kernels
    spec.loader.exec_module(module)
    return module
