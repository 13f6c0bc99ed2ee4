"""The module of WebAssembly: its memory, and the code in it. test_c.py tests the classes, which are made alike."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import built_engine
from tiny_models import write_tiny

from pyllama3.backends import Engine, engine_dir, load_engine
from pyllama3.backends.build_folder import engine_file
from pyllama3.errors import BackendError
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.weights import load_weights

wasmtime = pytest.importorskip("wasmtime", reason="needs wasmtime: pip install 'pyllama3[wasm]'")


@pytest.fixture
def engine() -> Engine:
    """An instance of its own, whose memory has what a test puts there."""
    built_engine("wasm")
    return load_engine("wasm")


def numbers(engine: Engine, *values: float) -> np.ndarray:
    return engine.numpy(engine.view(np.array(values, np.float32).view(np.uint8), "float32"), "float32")


def test_the_module_asks_nothing_of_its_host(engine: Engine) -> None:
    """So that it runs in a browser as it is."""
    module = wasmtime.Module.from_file(wasmtime.Engine(), str(engine_file("wasm", engine_dir())))
    assert module.imports == []


def test_arrays_stay_where_they_are_when_the_memory_grows(engine: Engine) -> None:
    a = numbers(engine, 1, 2, 3)
    for _ in range(3):
        large = engine.empty("float32", 50_000_000)
        large[-1] = 7
        assert engine.Kernels.dot(a, 0, a, 0, 3) == 14
        assert engine.Kernels.dot(large, 49_999_999, a, 2, 1) == 21
        a = numbers(engine, *a)


def test_arrays_beyond_2_gb_are_reached(engine: Engine) -> None:
    kept = [engine.empty("float32", 350_000_000) for _ in range(2)]
    kept[1][-1] = 7
    model = engine.Llama3Model()
    assert model._pointer > 1 << 31
    tensor, y = model.get_tensor(engine.TensorId.OUTPUT, 0), engine.empty("float32", 1)
    tensor.set(engine.TensorType.F32, 1, 1, kept[1][-1:], None, None)
    tensor.dequantize(y, 0, 0, 1)
    assert y.tolist() == [7]


def test_stored_weights_are_freed_once_they_are_packed(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = load_weights(write_tiny(tmp_path / "m.gguf"))
    copies: list[tuple[int, Any]] = []
    view = engine.view

    def remember(data: Any, dtype: str) -> Any:
        seen = view(data, dtype)
        if not np.may_share_memory(seen, data):
            copies.append((seen.nbytes, weakref.ref(seen)))
        return seen

    monkeypatch.setattr(engine, "view", remember)
    model = EngineModel(engine, weights, threads=1)
    gc.collect()
    matrices = [tensor.data.nbytes for name, tensor in weights.tensors.items() if "norm" not in name]
    assert sum(size for size, _ in copies) > sum(matrices)
    assert sum(size for size, copy in copies if copy() is not None) < sum(matrices) / 2  # the embedding is read
    with Session(model, context=8) as session:
        assert np.isfinite(session.feed([1, 2])).all()


def test_memory_comes_back_and_is_zero(engine: Engine) -> None:
    for _ in range(20):  # 20 GB in all
        array = engine.empty("uint8", 1_000_000_000)
        assert not array[:1000].any()
        array[:1000] = 255
        del array
        gc.collect()


def test_no_memory_is_an_error(engine: Engine) -> None:
    for length in (3_000_000_000, 1 << 40):
        with pytest.raises(BackendError, match=r"^no memory for \d+ numbers of type uint8$"):
            [engine.empty("uint8", length) for _ in range(2)]


def test_views_are_copies_unless_they_are_in_the_memory(engine: Engine) -> None:
    data = np.array([1, 2, 3], np.float32)
    copy = engine.view(data.view(np.uint8), "float32")
    data[0] = 9
    assert copy.tolist() == [1, 2, 3]
    assert not copy.flags.writeable
    assert np.shares_memory(engine.view(copy.view(np.uint8)[4:], "float32"), copy)


def test_other_arrays_are_refused(engine: Engine) -> None:
    a = numbers(engine, 1, 2, 3)
    with pytest.raises(ValueError, match=r"^an array is not in the memory of the engine; arrays"):
        engine.Kernels.dot(a, 0, np.zeros(3, np.float32), 0, 3)


def test_objects_and_their_memory_go(engine: Engine) -> None:
    def size() -> int:
        return int(engine._memory._pages.size(engine._memory._store))

    def use() -> None:
        for _ in range(100):
            model = engine.Llama3Model()
            model.get_tensor(engine.TensorId.OUTPUT, 0).set(
                engine.TensorType.F32, 1, 100_000, engine.empty("float32", 100_000), None, None
            )
        gc.collect()

    use()
    before = size()
    use()
    assert size() == before


@pytest.mark.parametrize(("name", "content"), [("llama3.wasm", b"\0asm nonsense"), ("llama3.h", b"int f(void);\n")])
def test_damaged_builds_are_told(engine: Engine, tmp_path: Path, name: str, content: bytes) -> None:
    path = engine_file("wasm", engine_dir())
    for file in (path, path.with_suffix(".h")):
        (tmp_path / file.name).write_bytes(content if file.name == name else file.read_bytes())
    with pytest.raises(BackendError, match=rf"^{tmp_path}/{name}: .*; run 'invoke build") as caught:
        load_engine("wasm", tmp_path)
    assert "\n" not in str(caught.value)
