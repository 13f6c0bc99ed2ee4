"""The engine in other languages, by the real Fusion compiler: each stage equals that of the numpy reference.

To add a case: a language in `tools/hosts/languages.py` joins by itself; a model in `MODELS`. What is not installed is
told, and its tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builds import KEPT
from gguf import GGMLQuantizationType
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3.analysis.compare import hosts
from pyllama3.analysis.compare.comparison import compare
from pyllama3.analysis.compare.hosts import HostSubject
from pyllama3.analysis.compare.loading import load_subjects
from pyllama3.analysis.compare.report import as_table
from pyllama3.analysis.compare.subjects import ReferenceSubject
from pyllama3.config import RopeStyle
from pyllama3.errors import BackendError
from pyllama3.weights import Tensor, TensorType, Weights, load_weights
from tools.hosts.build import HOSTS, build_hosts
from tools.hosts.faults import MENDS
from tools.hosts.languages import LANGUAGES
from tools.running import BuildError
from tools.transpilers import find_transpiler

FACTORS = tuple(np.linspace(1, 8, 32))
IDS = (7, 280, 2, 2, 90)
MODELS: dict[str, tuple[GGMLQuantizationType, dict[str, Any]]] = {
    "F32": (GGMLQuantizationType.F32, {}),
    "F16, untied": (GGMLQuantizationType.F16, {}),
    "Q4_0, tied": (GGMLQuantizationType.Q4_0, {}),
    "Q6_K, factors": (
        GGMLQuantizationType.Q6_K,
        {"rope_factors": tuple(np.linspace(1, 8, 32)), "rope_magnitude": 1.25},
    ),
    "IQ2_XXS, half split": (GGMLQuantizationType.IQ2_XXS, {"rope_style": RopeStyle.HALF_SPLIT}),
}


def weights_of(path: Path, name: str) -> Weights:
    type, overrides = MODELS[name]
    config = tiny_config(dim=256, heads=4, head_dim=64, hidden_dim=256, context=64)
    write_gguf(path, config, random_tensors(config, 3, tied="untied" not in name), type)
    weights = load_weights(path)
    return replace(weights, config=replace(weights.config, **overrides))


def with_bias(weights: Weights) -> Weights:
    name = "blk.1.attn_q.bias"
    data = np.linspace(-1, 1, 256, dtype=np.float32)
    bias = Tensor(name, TensorType.F32, data.shape, (data.view(np.uint8),))
    return replace(weights, tensors={**weights.tensors, name: bias})


@pytest.fixture(scope="session", params=[name for name, language in LANGUAGES.items() if language.host])
def host(request: pytest.FixtureRequest) -> Path:
    """Folder of the program in a language."""
    try:
        find_transpiler("fut", print)
    except BuildError:
        pytest.skip("no fut here")
    language = LANGUAGES[request.param]
    for command in (language.compile, language.run):
        if command and not command[0].startswith(".") and shutil.which(command[0]) is None:
            pytest.skip(f"needs {language.needs}")
    build_hosts([request.param], KEPT / "hosts")
    return KEPT / "hosts" / str(request.param)


@pytest.mark.parametrize("model", MODELS)
def test_every_stage_equals_the_reference(host: Path, tmp_path: Path, model: str) -> None:
    weights = weights_of(tmp_path / "m.gguf", model)
    comparison = compare([ReferenceSubject("reference", weights), HostSubject(host.name, weights, host)], IDS)
    assert comparison.agrees, as_table(comparison)
    assert comparison.examinations[0].agreement.top1 == len(IDS)


def test_biases_are_added(host: Path, tmp_path: Path) -> None:
    weights = weights_of(tmp_path / "m.gguf", "F32")
    biased = with_bias(weights)
    reference = ReferenceSubject("reference", biased)
    assert compare([reference, HostSubject(host.name, biased, host)], IDS).agrees
    without = compare([reference, HostSubject(host.name, weights, host)], IDS)
    assert without.examinations[0].agreement.kl > 1e-3


def test_hosts_are_short() -> None:
    """Lines of code: neither blank ones nor comments."""
    for path in HOSTS.glob("*/*"):
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
        assert len([line for line in lines if line and not line.startswith("//")]) <= 60, path


def test_mended_code_is_told() -> None:
    assert set(MENDS) <= set(LANGUAGES)
    assert MENDS["ts"]("x: bigint = 4;").startswith("x: bigint = 4n;")


def test_what_cannot_be_built_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"^target 'cobol' is unknown; known: cpp, cs, d, java, js, swift, ts$"):
        build_hosts(["js", "cobol"], tmp_path)
    monkeypatch.setenv("FUT", "")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BuildError, match=r"^js: only the real Fusion compiler writes them; set \$FUT$"):
        build_hosts(["js"], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo one; echo two >&2; exit 3", "x fails with exit code 3: two"),
        ("exit 1", "x fails with exit code 1: it says nothing"),
        ("printf 1234", "x gives 1 numbers; needed: "),
    ],
)
def test_programs_that_fail(tmp_path: Path, script: str, told: str) -> None:
    (tmp_path / "manifest.json").write_text('{"run": ["./host"]}')
    program = tmp_path / "host"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    weights = weights_of(tmp_path / "m.gguf", "F32")
    with pytest.raises(BackendError) as caught:
        HostSubject("x", weights, tmp_path).run(IDS)
    assert str(caught.value).startswith(told)
    program.unlink()
    with pytest.raises(BackendError, match=r"^x cannot be started: "):
        HostSubject("x", weights, tmp_path).run(IDS)


def test_unknown_names_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hosts, "engine_dir", lambda: tmp_path)
    weights = weights_of(tmp_path / "m.gguf", "F32")
    with pytest.raises(BackendError, match=r"^backend 'cobol' is unknown; known: reference, .*; others: invoke build"):
        load_subjects(["m"], [weights], ["cobol"], precision="exact")
