"""The engine in generated Python: slow, but every step can be read and stopped in a debugger."""

from __future__ import annotations

import importlib.util
from array import array
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import BackendError

_TYPE_CODES = {"float32": "f", "float64": "d", "int8": "b", "int16": "h", "int32": "i", "uint8": "B"}


class PythonEngine:
    """The generated module; arrays are `array.array` and `memoryview`."""

    name = "python"
    packs = False
    has_threads = False

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def empty(self, dtype: str, length: int, *, sparse: bool = False) -> array[Any]:
        """Return an array of zeros."""
        code = _TYPE_CODES[dtype]
        try:
            return array(code, bytes(array(code).itemsize)) * length
        except (MemoryError, OverflowError):
            raise BackendError(f"no memory for {length} numbers of type {dtype}") from None

    def view(self, data: np.ndarray, dtype: str) -> memoryview:
        """Return a typed memoryview over the bytes of `data`."""
        view: memoryview = data.data
        return view.cast("B").cast(_TYPE_CODES[dtype])  # type: ignore[call-overload,no-any-return]

    def numpy(self, array: Any, dtype: str) -> np.ndarray:
        """Return a numpy array over the same memory."""
        return np.frombuffer(array, dtype)


def load(folder: Path) -> PythonEngine:
    """Load the generated module of a build folder.

    Raises:
        BackendError: the file can not be imported.
    """
    path = folder / "llama3.py"
    spec = importlib.util.spec_from_file_location("pyllama3_generated", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (OSError, SyntaxError) as error:
        raise BackendError(f"{path}: {error}; run 'invoke build'") from None
    return PythonEngine(module)
