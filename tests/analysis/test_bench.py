"""`pyllama3 bench`: what it runs, what it counts, and how it shows that.

The witness is arithmetic on times that the tests set. To add a case: a shape goes with its published number of
parameters.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from blocks import expand
from engines import built_engine
from gguf import GGMLQuantizationType
from tiny_models import random_tensors as tiny_tensors
from tiny_models import tiny_config, write_gguf

from pyllama3.analysis.bench import plot, tables
from pyllama3.analysis.bench.measure import Result, SpeedTest, describe, make_tests, measure
from pyllama3.analysis.bench.peak_memory import peak_memory, reset_peak
from pyllama3.analysis.bench.synthetic import SHAPES, random_tensors, synthetic_weights
from pyllama3.cli import main
from pyllama3.errors import ContextError, OptionError, TokenizerError
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.weights import TensorType, Weights, load_weights
from pyllama3.weights.convert.mixtures import MIXTURES
from pyllama3.weights.layout import OUTPUT, expected_shapes

CONFIG = tiny_config(dim=256, hidden_dim=512, layers=2, context=100)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "m.gguf"
    write_gguf(path, CONFIG, tiny_tensors(CONFIG, 1, tied=True), GGMLQuantizationType.Q8_0)
    return path


@pytest.fixture
def feeds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Position and length of all that is fed."""
    feeds: list[tuple[int, int]] = []
    feed = Session.feed

    def recorded(session: Session, ids: list[int], **options: Any) -> Any:
        feeds.append((session.position, len(ids)))
        return feed(session, ids, **options)

    monkeypatch.setattr(Session, "feed", recorded)
    return feeds


def result(**changes: Any) -> Result:
    values: dict[str, Any] = {
        "model": "tiny Q8_0",
        "size": 3 << 20,
        "params": 1_240_000_000,
        "backend": "c",
        "precision": "default",
        "threads": 2,
        "test": SpeedTest(prompt=512),
        "speeds": (90.0, 100.0, 125.5),
        "memory": 5 << 30,
    }
    return Result(**values | changes)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_tests_are_all_combinations_by_depth() -> None:
    tests = make_tests([512, 0, 128], [64], [4096, 0])
    at_0 = ["pp512", "pp128", "tg64", "tg64 sampled"]
    assert [test.name for test in tests] == [*at_0, *(f"{name} @ d4096" for name in at_0)]
    assert make_tests([0], [0], [0, 1]) == []


def test_what_is_run(path: Path, feeds: list[tuple[int, int]]) -> None:
    built_engine("c")
    tests = make_tests([5], [2], [0, 4])
    results = measure(lambda: load_weights(path), tests, backend="c", threads=[1, 2], repetitions=3)
    at_0 = [(0, 5)] * (1 + 3) + ([(0, 1)] + [(0, 1), (1, 1)] * 3) * 2  # without and with sampling
    at_4 = [(0, 4)] + [(4, 5)] * (1 + 3) + ([(4, 1)] + [(4, 1), (5, 1)] * 3) * 2
    assert feeds == (at_0 + at_4) * 2
    assert [(result.threads, result.test) for result in results] == [(t, test) for t in (1, 2) for test in tests]
    assert {len(result.speeds) for result in results} == {3}
    assert {result.params for result in results} == {sum(map(math.prod, shapes(CONFIG, tied=True).values()))}


def test_each_number_of_threads_has_a_session(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    class Recorded(Session):
        def __init__(self, model: EngineModel, **options: Any) -> None:
            threads.append((model.threads, options["threads"]))
            super().__init__(model, **options)

    monkeypatch.setattr("pyllama3.analysis.bench.measure.Session", Recorded)
    backend = built_engine("c").name
    measure(lambda: load_weights(path), make_tests([1], [], [0]), backend=backend, threads=[1, 3], repetitions=1)
    assert threads == [(3, 1), (3, 3)]


def test_speed_is_tokens_by_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.count(step=2)
    clock = SimpleNamespace(perf_counter=lambda: next(times))  # not that of others, who measure passes
    monkeypatch.setattr("pyllama3.analysis.bench.measure.time", clock)
    tests = make_tests([6], [3], [0])
    results = measure(lambda: load_weights(path), tests, backend=built_engine("c").name, repetitions=2)
    assert [result.speeds for result in results] == [(3, 3), (1.5, 1.5), (1.5, 1.5)]


def test_without_a_vocabulary_no_text_is_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "tiny", SHAPES["smollm2-135m"]._replace(config=CONFIG))
    tests, backend = make_tests([1], [1], [0]), built_engine("c").name
    results = measure(lambda: synthetic_weights("tiny", "Q4_0"), tests, backend=backend, repetitions=1)
    assert [result.test.name for result in results] == ["pp1", "tg1"]


def test_tests_must_fit_into_the_context(path: Path) -> None:
    with pytest.raises(ContextError, match=f"^pp60 @ d50 needs 110 tokens; {path} allows 100$"):
        measure(lambda: load_weights(path), make_tests([60], [40], [0, 50]), backend="python")


def test_mean_and_deviation() -> None:
    speeds = (90.0, 100.0, 125.5)
    assert math.isclose(result().mean, np.mean(speeds))
    assert math.isclose(result().deviation, np.std(speeds, ddof=1))
    assert result(speeds=(7.0,)).deviation == 0


def test_a_model_is_named_with_its_types(path: Path) -> None:
    weights = load_weights(path)
    assert describe(weights) == "tiny Q8_0"  # most bytes: the file does not name its mixture
    named = Weights(path, CONFIG, weights.tensors, weights.load_vocabulary, metadata={"general.file_type": 15})
    assert describe(named) == "tiny Q4_K_M"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux starts anew")
def test_peak_memory() -> None:
    reset_peak()
    before = peak_memory()
    np.ones(50 << 20, np.uint8)
    assert 45 << 20 < peak_memory() - before < 60 << 20
    reset_peak()
    assert peak_memory() - before < 20 << 20


# Random weights


def shapes(config: Any, *, tied: bool) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in expected_shapes(config) if not (tied and name == OUTPUT)}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("smollm2-135m", 134_515_008),
        ("llama3.2-1b", 1_235_814_400),
        ("llama3.2-3b", 3_212_749_824),
        ("llama3.1-8b", 8_030_261_248),
        ("llama3.1-70b", 70_553_706_496),
    ],
)
def test_shapes_have_the_published_number_of_parameters(name: str, parameters: int) -> None:
    shape = SHAPES[name]
    assert sum(map(math.prod, shapes(shape.config, tied=shape.tied).values())) == parameters


@pytest.mark.parametrize("mixture", MIXTURES)
def test_random_weights_have_the_magnitude_of_trained_ones(mixture: str) -> None:
    tensors = {tensor.name: tensor for tensor in random_tensors(CONFIG, mixture, tied=False)}
    assert list(tensors) == [name for name, _ in expected_shapes(CONFIG)]
    for tensor in tensors.values():
        assert tensor.type == MIXTURES[mixture].type_of(tensor.name, tensor.shape, CONFIG, tied=False)
        values = expand(tensor.type, tensor.data).reshape(tensor.shape).astype(np.float64)
        if len(tensor.shape) == 1:
            assert (values == 1).all()
        else:
            assert 0.8 < np.sqrt(np.mean(values**2) * tensor.shape[-1]) < 1.25
            assert abs(values.mean()) < 0.2 * values.std()  # numbers such as -8 to 7
    assert {tensor.type for tensor in tensors.values()} - {TensorType.F32} or mixture == "F32"


def test_random_tensors_share_no_memory() -> None:
    tensors = list(random_tensors(CONFIG, "Q4_0", tied=True))
    assert OUTPUT not in [tensor.name for tensor in tensors]
    for one, other in itertools.combinations(tensors, 2):
        assert not np.shares_memory(one.data, other.data)
        assert len(one.shape) == 1 or not np.array_equal(one.data, other.data)


@pytest.mark.parametrize("mixture", ["Q4_0", "Q4_K_M", "F16"])
def test_random_weights_compute(monkeypatch: pytest.MonkeyPatch, mixture: str) -> None:
    monkeypatch.setitem(SHAPES, "tiny", SHAPES["smollm2-135m"]._replace(config=CONFIG))
    weights = synthetic_weights("tiny", mixture)
    assert describe(weights) == f"tiny {mixture}"
    logits = Session(EngineModel(built_engine("c"), weights, threads=1), context=8).feed([1, 2, 3])
    assert np.isfinite(logits).all()
    assert 0.1 < logits.std() < 10
    with pytest.raises(TokenizerError, match="tiny: random weights have no vocabulary"):
        weights.load_vocabulary()


# Tables


def test_markdown() -> None:
    test = SpeedTest(generated=128, depth=4096)
    small = result(params=134_515_008, precision="exact", threads=16, test=test, memory=0)
    lines = tables.markdown([result(), small]).splitlines()
    assert len({len(line) for line in lines}) == 1
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["model", "size", "params", "backend", "threads", "test", "t/s", "memory"]
    assert rows[2] == ["tiny Q8_0", "3.0 MiB", "1.24 B", "c", "2", "pp512", "105.2 ± 18.3", "5.0 GiB"]
    assert rows[3][2:] == ["134.5 M", "c exact", "16", "tg128 @ d4096", "105.2 ± 18.3", "?"]


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("Smollm2 135M 8k Lc100K Mix1 Ep2 Q4_1", "Smollm2 135M 8k L…Q4_1"),
        ("A name without any end" + "!" * 40, "A name wit…!!!!!!!!!!!"),
        ("Llama 3.2 1B Q4_K_M", "Llama 3.2 1B Q4_K_M"),
    ],
)
def test_tables_fit_100_columns(model: str, shown: str) -> None:
    lines = tables.markdown([result(model=model), result(test=SpeedTest(generated=128))]).splitlines()
    assert max(map(len, lines)) <= 100
    assert tables.shorten(model, 22) == shown
    cell = lines[2].split("|")[1]
    assert cell.strip() == tables.shorten(model, len(cell) - 2)


def test_csv_and_json_have_the_same_numbers() -> None:
    results = [result(), result(test=SpeedTest(generated=128), speeds=(1.0,))]
    objects = json.loads(tables.as_json(results, {"cpu_info": "Fast One"}))
    assert [item["samples_ts"] for item in objects] == [[90, 100, 125.5], [1]]
    assert {item["cpu_info"] for item in objects} == {"Fast One"}
    for row, item in zip(csv.DictReader(tables.as_csv(results).splitlines()), objects, strict=True):
        assert row == {name: str(item[name]) for name in row}
        assert {"model_type", "n_prompt", "n_gen", "n_depth", "n_threads", "avg_ts", "stddev_ts"} < set(row)


@pytest.mark.parametrize("suffix", plot.FORMATS)
def test_plot(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"speeds{suffix}"
    plot.check_plot(path)
    sampled = SpeedTest(generated=128, sampled=True)
    results = [result(), result(threads=1), result(test=SpeedTest(generated=128)), result(test=sampled)]
    plot.draw(results, path, "Fast One")
    if suffix == ".svg":
        text = path.read_text()
        for part in ("Reading prompts (pp)", "Generating text (tg)", "Fast One", "tiny Q8_0, backend c<", "105.2"):
            assert part in text
        labels = ["pp512, 2 threads", "pp512, 1 thread", "tg128, 2 threads", "tg128 sampled, 2 threads"]
        assert [text.count(f"{label}<") for label in labels] == [1, 1, 1, 1]
    else:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_plot_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=r"x\.pdf: cannot draw a \.pdf; allowed: \.svg, \.png"):
        plot.check_plot(tmp_path / "x.pdf")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionError, match=r"needs matplotlib; pip install 'pyllama3\[plot\]'"):
        plot.check_plot(tmp_path / "x.svg")


# The command


def test_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--backend", built_engine("c").name, "-p", "4", "-n", "2,3", "-r", "2", "-t", "1,2", "--depth", "0,8")
    code, out, err = run(capsys, "-m", str(path), *options)
    assert code == 0
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines()]
    names = [
        f"{name}{depth}" for depth in ("", " @ d8") for name in ("pp4", "tg2", "tg2 sampled", "tg3", "tg3 sampled")
    ]
    assert [(row[4], row[5]) for row in rows[2:]] == [(threads, name) for threads in "12" for name in names]
    assert "tiny Q8_0, 2 threads: tg3 @ d8" in err
    code, out, _ = run(capsys, "-m", str(path), *options, "-o", "json")
    assert len(json.loads(out)) == 20
    assert json.loads(out)[0]["c_compiler"]


def test_help_lists_the_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(name in out for name in SHAPES)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-t", "0"], 2, "'0': allowed: 1 to 1024"),
        (["-t", "1,1025"], 2, "'1,1025': allowed: 1 to 1024"),
        (["-p", "many"], 2, "'many' is not a list of whole numbers such as 1,2"),
        (["--depth", "-1"], 2, "'-1': allowed: 0 or more"),
        (["-p", "0", "-n", "0"], 2, "Nothing to measure: both -p and -n are 0."),
        (["-r", "0"], 2, "0 is not in the range x>=1"),
        (["--type", "Q4_0"], 2, "--type is for --synthetic"),
        (["--synthetic", "gpt-4"], 1, "shape 'gpt-4' is unknown; known: smollm2-135m, llama3.2-1b"),
        (["--synthetic", "llama3.2-1b", "--type", "Q1"], 1, "type 'Q1' is unknown; known: F32, F16"),
        (["--plot", "speed.gif"], 1, "speed.gif: cannot draw a .gif"),
        (["--plot", "no/such/speed.svg"], 1, "no/such/speed.svg: no such directory"),
        (["--backend", "cuda"], 1, "backend 'cuda' is unknown"),
    ],
)
def test_command_refuses(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str) -> None:
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (code, "")
    assert message in err
