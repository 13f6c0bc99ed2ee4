"""How much memory of a mapped model stays in use.

The witness is Linux: /proc/self/smaps. To add a case: a range of pages, and how much of it is freed.
"""

from __future__ import annotations

import platform
import re
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from engines import built_engine
from gguf import GGMLQuantizationType
from pth_files import write_pth
from safetensors_files import CHECKPOINTS
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3.analysis.bench.peak_memory import peak_memory, reset_peak
from pyllama3.backends.arrays import Pool, enlarge_pages, zeros
from pyllama3.runtime import state
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.weights import Tensor, TensorType, load_weights
from pyllama3.weights.formats.pth import read_pth
from pyllama3.weights.mapping import map_file, release

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/smaps")

PAGE = 4096


def resident(path: Path) -> int:
    """Return how many bytes of a mapped file are in the memory of this process."""
    mappings = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE)
    sizes = [re.search(r"^Rss:\s+(\d+) kB", text, re.MULTILINE) for text in mappings if str(path) in text]
    return sum(int(size[1]) * 1024 for size in sizes if size)


@pytest.mark.parametrize(("start", "end", "freed"), [(0, 8, 8), (0.5, 7.5, 6), (1, 1.5, 0), (2.25, 2.75, 0)])
def test_whole_pages_are_released_and_come_back(tmp_path: Path, start: float, end: float, freed: int) -> None:
    contents = np.random.default_rng(1).integers(0, 256, 8 * PAGE, np.uint8)
    path = tmp_path / "data"
    path.write_bytes(contents.tobytes())
    data = np.frombuffer(map_file(path), np.uint8)
    np.testing.assert_array_equal(data, contents)
    assert resident(path) == 8 * PAGE
    release(data[int(start * PAGE) : int(end * PAGE)])
    assert resident(path) == (8 - freed) * PAGE
    np.testing.assert_array_equal(data, contents)


def test_other_arrays_keep_what_they_hold() -> None:
    data = np.ones(8 * PAGE, np.uint8)
    release(data)
    release(data[PAGE:])
    assert data.all()


def test_a_cache_takes_memory_as_it_is_filled(tmp_path: Path) -> None:
    config = tiny_config(layers=4, head_dim=64, kv_heads=2, context=1 << 16)
    path = tmp_path / "m.gguf"
    write_gguf(path, config, random_tensors(config, 1), GGMLQuantizationType.Q8_0)
    model = EngineModel(built_engine("c"), load_weights(path), threads=1)
    reset_peak()
    before = peak_memory()
    session = Session(model, context=config.context)  # 128 MB of cache
    session.feed([1, 2, 3])
    assert peak_memory() - before < 4 << 20


def test_shards_are_released_when_they_have_been_put_together(tmp_path: Path) -> None:
    arrays = {"x": np.random.default_rng(1).integers(0, 256, (256, 8192), np.uint16)}
    parts = tuple(read_pth(write_pth(tmp_path / f"{n}.pth", arrays))["x"].data for n in range(2))
    tensor = Tensor("x", TensorType.BF16, (512, 8192), parts)
    assert tensor.data.nbytes == 2 * arrays["x"].nbytes
    assert resident(tmp_path) < 0.1 * arrays["x"].nbytes


def test_a_tied_embedding_in_shards_is_put_together_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = load_weights(CHECKPOINTS / "meta-2-shards-bf16")
    del weights.tensors["output.weight"]
    joined = []

    def data(tensor: Tensor) -> np.ndarray:
        if len(tensor.shards) > 1:
            joined.append(tensor.name)
        return original(tensor)

    original = Tensor.data.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(Tensor, "data", property(data))
    EngineModel(built_engine("c"), weights, threads=1)
    assert sorted(joined) == sorted(name for name, tensor in weights.tensors.items() if len(tensor.shape) == 2)


def test_a_pool_carves_arrays_that_share_no_cache_line() -> None:
    pool = Pool(built_engine("c"))
    large = pool.take("uint8", 65 << 20)
    arrays = [pool.take("float32", 3), pool.take("int16", 33), pool.copy(np.arange(7, dtype=np.uint8), "uint8"), large]
    assert [(array.dtype.name, array.size) for array in arrays[:3]] == [("float32", 3), ("int16", 33), ("uint8", 7)]
    assert not any(array.any() for array in (arrays[0], arrays[1], large))
    assert arrays[2].tolist() == list(range(7))
    lines = [range(array.ctypes.data // 64, -(-(array.ctypes.data + array.nbytes) // 64)) for array in arrays]
    assert all(array.ctypes.data % 64 == 0 for array in arrays)
    assert all(a.stop <= b.start or b.stop <= a.start for a, b in combinations(lines, 2))


def test_packed_weights_are_not_kept_twice(tmp_path: Path) -> None:
    config = tiny_config(dim=256, hidden_dim=1024, layers=2)
    path = tmp_path / "m.gguf"
    write_gguf(path, config, random_tensors(config, 1, tied=True), GGMLQuantizationType.Q8_0)
    weights = load_weights(path)
    size = sum(tensor.nbytes for tensor in weights.tensors.values())
    assert size > 1_000_000
    model = EngineModel(built_engine("c"), weights, threads=1)
    assert resident(path) < 0.1 * size
    logits = Session(model, context=8).feed([1, 2, 3])
    assert np.isfinite(logits).all()
    assert resident(path) < 0.2 * size


def large_pages(array: np.ndarray) -> int:
    """Return how many bytes of an array are in pages of 2 MB."""
    address = array.ctypes.data
    for text in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE):
        place = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", text)
        if place and int(place[1], 16) <= address < int(place[2], 16):
            size = re.search(r"^AnonHugePages:\s+(\d+) kB", text, re.MULTILINE)
            return int(size[1]) * 1024 if size else 0
    raise AssertionError("the array is in no mapping")


LARGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not LARGE_PAGES.exists() or "[never]" in LARGE_PAGES.read_text(), reason="the kernel gives no large pages"
)
def test_a_large_array_is_in_large_pages_from_its_start_to_its_end() -> None:
    array = zeros("int16", 4 << 20, sparse=False)
    assert np.count_nonzero(array) == 0
    array[:] = 1
    assert large_pages(array) >= array.nbytes


@pytest.mark.skipif(
    not LARGE_PAGES.exists() or tuple(map(int, platform.release().split(".")[:2])) < (6, 1),
    reason="the kernel does not move memory to large pages at once",
)
def test_a_sparse_array_moves_to_large_pages() -> None:
    array = zeros("int16", 8 << 20, sparse=True)
    array[::1024] = np.arange(8192)
    assert large_pages(array) == 0
    enlarge_pages(array)
    assert large_pages(array) >= array.nbytes
    assert array[::1024].tolist() == list(range(8192))
    assert np.count_nonzero(array) == 8191


def test_a_cache_gets_large_pages_once_it_is_half_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config()
    path = tmp_path / "m.gguf"
    write_gguf(path, config, random_tensors(config, 1), GGMLQuantizationType.F32)
    sizes: list[int] = []
    monkeypatch.setattr(state, "enlarge_pages", lambda array: sizes.append(array.size))
    chat = Session(EngineModel(built_engine("c"), load_weights(path), threads=1), context=16)
    chat.feed([1] * 8)
    assert sizes == []
    chat.feed([1])
    assert sizes == [array.size for array in chat._state.cache[:2]]
    chat.feed([1])
    assert len(sizes) == 2
