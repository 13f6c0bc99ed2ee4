"""The comparison with llama.cpp, with pyllama3 on both sides.

To add a case: speeds of both sides, and the ratios that must be reported.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from engines import built_engine
from paths import ROOT
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3.analysis.bench.measure import SpeedTest
from pyllama3.analysis.bench.synthetic import SHAPES
from pyllama3.errors import OptionError
from pyllama3.weights import load_weights

BENCHMARKS = ROOT / "benchmarks"
CONFIG = tiny_config(context=100)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stops processes by signals")


@pytest.fixture(scope="module")
def versus() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("versus_llama_cpp", BENCHMARKS / "versus_llama_cpp.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        patch.setitem(sys.modules, spec.name, module)  # dataclasses look for the module of their annotations
        spec.loader.exec_module(module)
        yield module


@pytest.fixture
def sides(versus: ModuleType) -> Iterator[tuple[Any, Any]]:
    built_engine("c")
    sides = versus.Side(sys.executable, "ours.py"), versus.Side(sys.executable, "ours.py")
    yield sides
    for side in sides:
        side.close()


def state(side: Any) -> str:
    """Return the state of a process as Linux abbreviates it: T is stopped."""
    return Path(f"/proc/{side._process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_both_sides_are_measured_in_turn(
    versus: ModuleType, sides: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(path, CONFIG, random_tensors(CONFIG, 1))
    asked = []
    ask = versus.Side.ask

    def recorded(side: Any, method: str, **arguments: Any) -> Any:
        asked.append((sides.index(side), method, arguments))
        return ask(side, method, **arguments)

    monkeypatch.setattr(versus.Side, "ask", recorded)
    tests = [SpeedTest(prompt=5), SpeedTest(generated=3, depth=7)]
    comparisons = list(versus.compare(*sides, str(path), tests, [1, 2], rounds=3, precision="fast"))
    assert [(c.threads, c.test) for c in comparisons] == [(t, test) for t in (1, 2) for test in tests]
    for comparison in comparisons:
        assert all(
            len(side["default"]) == 3 and min(side["default"]) > 0 for side in (comparison.ours, comparison.theirs)
        )
    load = {"path": str(path), "context": 10, "threads": 2}
    assert asked[:2] == [(0, "load", {**load, "precision": "fast"}), (1, "load", load)]
    asked = [call for call in asked if call[1] != "modes"]
    reads = [(side, arguments["threads"]) for side, method, arguments in asked if method == "read"]
    assert reads == [(side, threads) for threads in (1, 2) for side in (0, 1, 0, 1, 1, 0, 0, 1)]
    before = [asked[n - 1][1:] for n, (_, method, _) in enumerate(asked) if method == "generate"]
    assert before == [
        ("fill", {"mode": "default", "tokens": 7, "threads": threads}) for threads in (1, 2) for _ in range(8)
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_who_is_not_asked_is_stopped(sides: tuple[Any, Any]) -> None:
    for side in sides:
        assert side.ask("describe").startswith("pyllama3 ")
        assert state(side) == "T"


def test_a_failing_worker_is_reported(sides: tuple[Any, Any]) -> None:
    with pytest.raises(click.ClickException, match=r"ours\.py has failed"):
        sides[0].ask("load", path="/nonexistent.gguf", context=1, threads=1, precision="fast")


def test_ratios_are_of_the_best_medians(versus: ModuleType) -> None:
    theirs = {"flash": [5, 10, 90], "plain": [9, 9, 9]}
    one = versus.Comparison("a.gguf", 1, SpeedTest(prompt=512), ours={"": [30, 10, 20]}, theirs=theirs)
    two = versus.Comparison("a.gguf", 2, SpeedTest(prompt=512), ours={"": [30]}, theirs={"": [20]})
    other = versus.Comparison("b.gguf", 2, SpeedTest(prompt=512), ours={"": [10]}, theirs={"": [20]})
    lines = versus.markdown([one, two, other]).splitlines()
    assert lines[0] == "| ours / llama.cpp | pp512, 1t | pp512, 2t |"
    assert lines[2:4] == ["| a.gguf | 2.00 | 1.50 |", "| b.gguf |  | 0.50 |"]
    assert "| a.gguf | pp512 | 1 | 20.0 | 10.0 | 2.00 |" in lines
    assert json.loads(versus.as_json([one], {"cores": 2}))["results"][0]["theirs"] == theirs


def test_random_models_are_files_that_load(versus: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLLAMA3_CACHE", str(tmp_path))
    monkeypatch.setitem(SHAPES, "tiny", SHAPES["llama3.2-1b"]._replace(config=tiny_config(dim=256, vocab_size=600)))
    path = versus.find_file("tiny:Q4_K_M")
    weights = load_weights(path)
    assert {tensor.type.name for tensor in weights.tensors.values()} == {"F32", "Q4_K", "Q6_K", "Q5_0", "Q8_0"}
    assert weights.load_vocabulary().tokens[256 + 12] == b"#12"
    assert "#1 2" in weights.metadata["tokenizer.ggml.merges"]
    modified = path.stat().st_mtime_ns
    assert versus.find_file("tiny:Q4_K_M") == path
    assert path.stat().st_mtime_ns == modified
    with pytest.raises(OptionError, match="model 'tiny:Q1' is unknown; allowed: a GGUF file, smollm2:TYPE"):
        versus.find_file("tiny:Q1")


def test_a_missing_peer_is_explained(versus: ModuleType, tmp_path: Path) -> None:
    without = tmp_path / "python"
    without.write_text("#!/bin/sh\nexit 1\n")
    without.chmod(0o755)
    with pytest.raises(click.UsageError, match=rf"^{without} cannot import llama_cpp\.$"):
        versus.find_peer_python(str(without))
