"""The comparison of backends: faults that are planted in generated code are found, and a clean build has none.

The witness is the numpy reference. To add a case: plant a fault in `PYTHON_FAULTS` or `C_FAULTS`, under the operation
that must be named.
"""

from __future__ import annotations

import ast
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
from blocks import ggml
from engines import built_engine
from gguf import GGMLQuantizationType
from tiny_models import write_tiny

import pyllama3.analysis.compare.subjects
import pyllama3.analysis.reference
from pyllama3.analysis.compare.comparison import Comparison, compare
from pyllama3.analysis.compare.operations import quantized
from pyllama3.analysis.compare.report import as_table, to_json
from pyllama3.analysis.compare.subjects import EMBEDDING, HEAD, EngineSubject, ReferenceSubject, Stage
from pyllama3.analysis.compare.tolerances import EXACT, tolerance_of
from pyllama3.analysis.metrics import agreement, difference
from pyllama3.analysis.pages.compare import heat, heat_class, write_page
from pyllama3.backends import Engine, engine_dir, library_name, load_engine, read_manifest
from pyllama3.config import CACHE_TYPES, PRECISIONS, CacheType, Precision
from pyllama3.errors import BackendError, OptionError
from pyllama3.runtime.model import EngineModel
from pyllama3.weights import TensorType, Weights, load_weights

IDS = [257, 7, 104, 0, 287, 7, 33, 33, 190, 12, 5]


def tiny_weights(path: Path, type: GGMLQuantizationType = GGMLQuantizationType.F32, **overrides: Any) -> Weights:
    return load_weights(write_tiny(path / f"{type.name}.gguf", 6, type, **overrides))


def run(engine: Engine, weights: Weights, *, precision: Precision = "exact", threads: int = 1) -> Comparison:
    model = EngineModel(engine, weights, threads=threads, precision=precision)
    subjects = [ReferenceSubject("reference", weights), EngineSubject(engine.name, weights, model)]
    return compare(subjects, IDS, bisect=True)


# a clean build


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("type", [TensorType.F32, TensorType.F16, TensorType.Q4_0, TensorType.Q8_0, TensorType.Q5_1])
def test_a_clean_build_is_within_tolerance(
    engine: Engine, tmp_path: Path, type: TensorType, precision: Precision
) -> None:
    comparison = run(engine, tiny_weights(tmp_path, ggml(type)), precision=precision, threads=2)
    found = comparison.examinations[0]
    assert [operation.name for operation in found.operations] == ["embedding", *OPERATIONS * 2, "norm", "output"]
    assert comparison.agrees, as_table(comparison)
    assert "no operation leaves its tolerance" in as_table(comparison)


@pytest.mark.parametrize("cache_type", CACHE_TYPES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_tolerance_follows_the_cache(
    engine: Engine, tmp_path: Path, cache_type: CacheType, precision: Precision
) -> None:
    """Each type of cache is within its own tolerance, and not within that of a more exact one."""
    weights = tiny_weights(tmp_path, GGMLQuantizationType.Q8_0)
    model = EngineModel(engine, weights, threads=1, precision=precision, cache_type=cache_type)
    assert (tolerance_of(model) == EXACT) == (cache_type == "f32" and model.activation_bits == 32)
    subjects = [ReferenceSubject("reference", weights), EngineSubject(engine.name, weights, model)]
    comparison = compare(subjects, IDS, bisect=True)
    assert comparison.agrees, as_table(comparison)
    worst = max(stage.worst_nmse for stage in comparison.examinations[0].stages.values())
    assert (worst > EXACT.stage) == (cache_type != "f32" or model.activation_bits < 32)
    values = [operation for operation in comparison.examinations[0].operations if operation.name == "values"]
    assert {operation.allowed for operation in values} == {1e-4 if cache_type == "int8" else 2e-12}


OPERATIONS = [
    *("norm", "q", "k", "v", "rope", "scores", "mask", "softmax", "values", "output projection", "residual"),
    *("norm", "gate", "up", "swiglu", "down", "residual"),
]


# faults

PYTHON_FAULTS = {
    "embedding": ("embeddings.dequantize(chunk, self._tokens[row],", "embeddings.dequantize(chunk, self._tokens[0],"),
    "norm": ("= x[offset + i] * scale * weight[i]", "= x[offset + i] * scale"),
    "q": ("_attn_q.mat_mul_part(self._query", "_attn_output.mat_mul_part(self._query"),
    "k": ("_attn_k.mat_mul_part(self._key", "_attn_v.mat_mul_part(self._key"),
    "v": ("_attn_v.mat_mul_part(self._value", "_attn_k.mat_mul_part(self._value"),
    "rope": ("= a * c - b * s", "= a * c + b * s"),
    "scores": ("scale: float = 1 / math.sqrt(width)", "scale: float = 1"),
    "mask": ("self._group)] + 1\n\t\t\tKernels.softmax(", "self._group)] + 2\n\t\t\tKernels.softmax("),
    "softmax": (
        "for i in range(count):\n\t\t\tx[offset + i] *= scale",
        "for i in range(1):\n\t\t\tx[offset + i] *= scale",
    ),
    "values": ("= self._scratch[sums + k]", "= self._scratch[sums + (k ^ 1)]"),
    "output projection": (
        "_attn_output.mat_mul_part(self._update, self._input, self._rows,",
        "_attn_output.mat_mul_part(self._update, self._input, self._rows - 1,",
    ),
    "residual": (
        "_attn_output._add_part(self._residual, self._update, self._rows,",
        "_attn_output._add_part(self._residual, self._update, self._rows - 1,",
    ),
    "gate": ("_ffn_gate.mat_mul_part(self._gate", "_ffn_up.mat_mul_part(self._gate"),
    "up": ("_ffn_up.mat_mul_part(self._up", "_ffn_gate.mat_mul_part(self._up"),
    "swiglu": ("/ (1 + e) * up[offset + i]", "/ (1 + e)"),
    "down": (
        "_ffn_down.mat_mul_part(self._update, self._input, self._rows,",
        "_ffn_down.mat_mul_part(self._update, self._input, self._rows - 1,",
    ),
    "output": ("self._model._get_output().mat_mul_part(", "self._model._get_token_embd().mat_mul_part("),
}
SMALL_FAULTS = {
    "softmax": ("c2: float = 0.240226507", "c2: float = 0.2406"),
    "swiglu": ("/ (1 + e) *", "/ (1.0001 + e) *"),
}
"""Of 1e-4: the first one of exponentials, which attention is the first to use."""
C_FAULTS = {
    "norm": ("= x[offset + i] * scale * weight[i];", "= x[offset + i] * scale;"),
    "v": ("Tensor_MatMulPart(&weights->attnV,", "Tensor_MatMulPart(&weights->attnK,"),
    "rope": ("= a * c - b * s;", "= a * c + b * s;"),
    "scores": ("float scale = (float) (1 / sqrt(width));", "float scale = 1;"),
    "mask": (
        "int limit = self->rowPositions[from + i / self->group] + 1;",
        "int limit = self->rowPositions[from + i / self->group] + 2;",
    ),
    "swiglu": ("/ (1 + e) * up[offset + i];", "/ (1 + e);"),
}
SMALL_C_FAULTS = {
    "softmax": ("c2 = 0.240226507f;", "c2 = 0.2406f;"),
    "swiglu": ("/ (1 + e) *", "/ (1.0001f + e) *"),
}


def mutated(text: str, fault: tuple[str, str]) -> str:
    """Return generated code with a fault, wherever its place is found."""
    assert fault[0] in text, "the generated code has changed: the fault cannot be planted"
    return text.replace(*fault)


def broken_python(folder: Path, fault: tuple[str, str]) -> Engine:
    """Return generated Python with a fault."""
    built_engine("python")
    source = (engine_dir() / "llama3.py").read_text(encoding="utf-8")
    (folder / "llama3.py").write_text(mutated(source, fault), encoding="utf-8")
    return load_engine("python", folder)


def broken_c(folder: Path, fault: tuple[str, str]) -> Engine:
    """Return generated C with a fault, compiled."""
    built_engine("c")
    manifest = read_manifest()
    source = (engine_dir() / "llama3.c").read_text(encoding="utf-8")
    (folder / "llama3.c").write_text(mutated(source, fault), encoding="utf-8")
    shutil.copy(engine_dir() / "llama3.h", folder)
    flags = [flag for flag in manifest["cflags"]["llama3.c"] if not flag.startswith(("-W", "-O", "-fsanitize"))]
    command = [*shlex.split(manifest["cc"]), *flags, "-O0", "-fPIC", "-shared", "llama3.c", "-lm", "-o", library_name()]
    subprocess.run(command, cwd=folder, check=True)
    return load_engine("c", folder)


def check_found(engine: Engine, path: Path, name: str, *, precision: Precision = "exact") -> None:
    """Check that a fault is found; but in exact precision the model is one whose products are of integers."""
    type = GGMLQuantizationType.F32 if precision == "exact" else GGMLQuantizationType.Q4_0
    comparison = run(engine, tiny_weights(path, type), precision=precision)
    found = comparison.examinations[0]
    assert not comparison.agrees
    assert found.culprit is not None, as_table(comparison)
    assert found.culprit.name == name, as_table(comparison)
    expected = {"embedding": EMBEDDING, "output": HEAD}.get(name)
    if expected:
        assert found.culprit.stage == expected
    else:
        assert found.culprit.stage.layer == 0
        assert f"'{name}'" in as_table(comparison)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", PYTHON_FAULTS)
def test_a_fault_in_generated_python_is_found(tmp_path: Path, name: str, precision: Precision) -> None:
    check_found(broken_python(tmp_path, PYTHON_FAULTS[name]), tmp_path, name, precision=precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", C_FAULTS)
def test_a_fault_in_generated_c_is_found(tmp_path: Path, name: str, precision: Precision) -> None:
    check_found(broken_c(tmp_path, C_FAULTS[name]), tmp_path, name, precision=precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", SMALL_FAULTS)
def test_a_small_fault_is_found(tmp_path: Path, name: str, precision: Precision) -> None:
    """It may leave all stages within tolerance."""
    check_found(broken_python(tmp_path, SMALL_FAULTS[name]), tmp_path, name, precision=precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", SMALL_C_FAULTS)
def test_a_small_fault_in_c_is_found(tmp_path: Path, name: str, precision: Precision) -> None:
    check_found(broken_c(tmp_path, SMALL_C_FAULTS[name]), tmp_path, name, precision=precision)


def test_the_row_of_a_fault_is_named(tmp_path: Path) -> None:
    """Only the last row is one that a product leaves out; it is a pass of its own."""
    fault = ("self._positions[row]\n", "self._positions[row] if self._positions[row] != 6 else 5\n")
    found = run(broken_python(tmp_path, fault), tiny_weights(tmp_path)).examinations[0]
    assert found.culprit is not None
    assert found.culprit.name == "rope"
    assert found.culprit.difference.worst_row == 6
    assert found.stages[Stage("attention", 0)].worst_row == 6


def test_a_fault_of_the_base_is_found(tmp_path: Path) -> None:
    clean, weights = built_engine("python"), tiny_weights(tmp_path)
    broken = broken_python(tmp_path, PYTHON_FAULTS["rope"])
    base, subject = (
        EngineSubject(label, weights, EngineModel(engine, weights, threads=1, precision="exact"))
        for label, engine in (("broken", broken), ("clean", clean))
    )
    comparison = compare([base, subject], IDS, bisect=True)
    found = comparison.examinations[0]
    assert found.culprit is None
    assert found.base_culprit is not None
    assert found.base_culprit.name == "rope"
    assert "it is the base that is wrong. The operation is 'rope'" in as_table(comparison)


def test_a_fault_within_the_tolerance_of_stages_is_told(tmp_path: Path) -> None:
    comparison = run(broken_python(tmp_path, SMALL_FAULTS["swiglu"]), tiny_weights(tmp_path), precision="default")
    assert comparison.examinations[0].first_out is None
    assert "OUT OF TOLERANCE: no stage, but an operation. The operation is 'swiglu'" in as_table(comparison)


def test_a_fault_in_front_of_the_first_stage_out_of_tolerance_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only layer 0 has the fault; its error is allowed here, and what layer 1 makes of it is not."""
    line = "weights._ffn_down.mat_mul_part(self._update, self._input, self._rows, part, self._parts)\n"
    fault = (line, f"{line}\t\tself._update[0] *= 1.001 if layer == 0 else 1\n")
    engine, weights = broken_python(tmp_path, fault), tiny_weights(tmp_path)
    made = run(engine, weights).examinations[0].stages[Stage("feed-forward", 0)].worst_nmse
    monkeypatch.setattr(ReferenceSubject, "tolerance", replace(EXACT, stage=made))
    monkeypatch.setattr(pyllama3.analysis.compare.subjects, "tolerance_of", lambda model: replace(EXACT, stage=made))
    found = run(engine, weights).examinations[0]
    assert found.first_out is not None
    assert found.first_out.layer == 1
    assert found.culprit is not None
    assert (found.culprit.name, found.culprit.stage.layer) == ("down", 0)


def test_a_head_that_takes_the_wrong_rows_is_found(tmp_path: Path) -> None:
    fault = ("self._run_norm(self._update,", "self._run_norm(self._residual,")
    found = run(broken_python(tmp_path, fault), tiny_weights(tmp_path)).examinations[0]
    assert found.first_out == HEAD
    assert found.culprit is not None
    assert found.culprit.name == "norm"


def test_an_engine_that_fails_is_named(tmp_path: Path) -> None:
    """No row sees itself, so that the first has nothing to look at."""
    fault = (PYTHON_FAULTS["mask"][0], PYTHON_FAULTS["mask"][0].replace(" + 1", ""))
    engine = broken_python(tmp_path, fault)
    with pytest.raises(BackendError, match="python fails in 'softmax', at layer 0 attention: ZeroDivisionError"):
        run(engine, tiny_weights(tmp_path))


# models and builds


def test_two_models_are_compared_tensor_by_tensor(engine: Engine, tmp_path: Path) -> None:
    types = {"F32": GGMLQuantizationType.F32, "Q4_0": GGMLQuantizationType.Q4_0}
    weights = [tiny_weights(tmp_path, type) for type in types.values()]
    base, other = (
        EngineSubject(name, one, EngineModel(engine, one, threads=1, precision="exact"))
        for name, one in zip(types, weights, strict=True)
    )
    found = compare([base, other], IDS, bisect=True).examinations[0]
    assert found.first_out is None
    assert found.agreement.kl > 1e-4
    for operation in found.operations:
        quantized = operation.tensor is not None and "norm" not in operation.tensor
        assert (operation.difference.nmse > 1e-4) == quantized, operation
        if quantized:
            expected, stored = (one.tensors[str(operation.tensor)].dequantize() for one in weights)
            error = np.square(stored - expected).sum() / np.square(expected).sum()
            assert operation.difference.nmse == pytest.approx(error, rel=0.5)


def test_models_of_different_shapes_are_refused(tmp_path: Path) -> None:
    first, second = tiny_weights(tmp_path), tiny_weights(tmp_path, GGMLQuantizationType.F16, layers=3)
    subjects = [ReferenceSubject("first", first), ReferenceSubject("second", second)]
    with pytest.raises(OptionError, match=r"layers is 3, that of .*F32\.gguf is 2"):
        compare(subjects, IDS)


@pytest.mark.parametrize(
    ("ids", "message"),
    [([], "0 tokens to compare with"), ([1] * 513, "513 tokens"), ([1, 288], "token 288"), ([-1], "token -1")],
)
def test_tokens_are_checked(tmp_path: Path, ids: list[int], message: str) -> None:
    subject = ReferenceSubject("reference", tiny_weights(tmp_path))
    with pytest.raises(OptionError, match=message):
        compare([subject, subject], ids)


# metrics


def test_difference() -> None:
    expected = np.array([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])
    found = difference(expected + np.array([[0, 0], [0, 0.5], [0, 0]]), expected)
    assert (found.max_error, found.worst_row, found.worst_nmse) == (0.5, 1, 0.25)
    assert found.nmse == pytest.approx(0.25 / 26)
    assert found.cosine == pytest.approx(26.5 / np.sqrt(26 * 27.25))
    assert difference(expected, expected) == difference(expected, expected.copy())
    assert difference(expected, expected).worst_nmse == 0


def test_quantized() -> None:
    """Each block has steps of its own: 127 of them up to its largest magnitude."""
    blocks = np.linspace(-1, 1, 64).reshape(1, 2, 32) * [[[1], [1000]]]
    steps = np.abs(blocks).max(axis=2, keepdims=True) / 127
    rounded = quantized(blocks.reshape(1, 64), 8).reshape(blocks.shape)
    np.testing.assert_allclose(rounded / steps, np.round(rounded / steps), atol=1e-9)
    assert (np.abs(rounded - blocks) <= steps * 0.5000001).all()
    assert (quantized(np.zeros((1, 32)), 8) == 0).all()


def test_what_is_not_a_number_is_never_within_tolerance() -> None:
    assert difference(np.array([[np.nan, 1.0]]), np.ones((1, 2))).worst_nmse == np.inf


def test_agreement() -> None:
    expected = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]))
    actual = np.log(np.array([[0.25, 0.5, 0.25], [0.1, 0.2, 0.7]])) + np.array([[5], [-3]])
    found = agreement(actual, expected)
    assert (found.positions, found.top1, found.top10) == (2, 1, 1)
    assert found.max_kl == pytest.approx(0.5 * np.log(2) - 0.25 * np.log(2))
    assert found.kl == pytest.approx(found.max_kl / 2)


# reports


def test_the_reference_knows_nothing_of_the_engine() -> None:
    tree = ast.parse(Path(pyllama3.analysis.reference.__file__).read_text(encoding="utf-8"))
    imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert set(imports) == {"__future__", "collections.abc", "config"}


def test_json_and_page(engine: Engine, tmp_path: Path) -> None:
    comparison = run(engine, tiny_weights(tmp_path))
    content = json.loads(json.dumps(to_json(comparison)))
    assert content["agrees"] is True
    assert [stage["name"] for stage in content["subjects"][0]["stages"]] == [
        "embedding",
        *["attention", "feed-forward"] * 2,
        "head",
    ]
    write_page(tmp_path / "page.html", comparison, ["<first>", *["x"] * (len(IDS) - 1)])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('class="heat') >= 6
    assert page.index("Within tolerance") < page.index("&lt;first&gt;") < page.index("After each stage")
    assert "http:" not in page
    assert "https:" not in page
    assert [path.name for path in tmp_path.iterdir() if "page" in path.name] == ["page.html"]


def test_colours_tell_powers_of_ten_and_more_of_them_above_a_hundredth() -> None:
    assert heat(0) == 0
    for powers, kind in (((-16, -12, -8, -4, -2.1), "heat near"), ((-2, -1.7, -1.3, -1, -0.7, 0), "heat")):
        colours = [heat(10**power) for power in powers]
        assert min(b - a for a, b in itertools.pairwise(colours)) >= 5
        assert {heat_class(10**power) for power in powers} == {kind}
    assert heat(1e3) == heat(1) == heat(float("nan")) == heat(float("inf"))


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(tmp_path: Path, width: int) -> None:
    weights, same = tiny_weights(tmp_path), load_weights(tmp_path / "F32.gguf")
    model = EngineModel(built_engine("python"), same, threads=1, precision="exact")
    subjects = [ReferenceSubject("reference", weights), EngineSubject("same", same, model)]
    write_page(tmp_path / "page.html", compare(subjects, IDS, bisect=True), None)
    shown = browser.show(tmp_path / "page.html", tmp_path, width=width)
    assert (shown.console, shown.overflow <= 0) == ([], True)
    assert shown.dom.count('<td colspan="') == 6 + 37


# the command


def command(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pyllama3", "compare", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )


def test_the_command_compares_builds(tmp_path: Path) -> None:
    tiny_weights(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    broken_python(other, PYTHON_FAULTS["rope"])
    arguments = ["-m", tmp_path / "F32.gguf", "--backends", "python", "--build", other, "--tokens", "1,5,9"]
    result = command(*arguments, "--bisect", "--html", tmp_path / "page.html")
    assert result.returncode == 1, result.stderr
    assert f"python of {other}, the residual stream" in result.stdout
    assert "The operation is 'rope' of layer 0 attention" in result.stdout
    assert (tmp_path / "page.html").exists()


def test_the_command_prints_json(tmp_path: Path) -> None:
    built_engine("python")
    tiny_weights(tmp_path)
    result = command("-m", tmp_path / "F32.gguf", "--backends", "reference,python", "--json", "hello world")
    assert result.returncode == 0, result.stderr
    content = json.loads(result.stdout)
    assert (content["base"], content["agrees"], len(content["tokens"])) == ("reference", True, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--tokens", "1,x"], 2, "--tokens is '1,x'"),
        (["--tokens", "1", "prompt"], 2, "not both"),
        (["--backends", "reference"], 1, "nothing to compare"),
        (["--backends", "fortran"], 1, "backend 'fortran' is unknown"),
        (["--tokens", "1,999"], 1, "token 999"),
        (["--build", "/nowhere"], 1, "has not been built: /nowhere"),
    ],
)
def test_the_command_tells_what_is_wrong(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    tiny_weights(tmp_path)
    result = command("-m", tmp_path / "F32.gguf", *arguments)
    assert (result.returncode, "Traceback" in result.stderr) == (code, False)
    assert message in result.stderr
