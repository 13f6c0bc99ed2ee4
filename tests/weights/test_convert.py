"""Conversion of models of every format to GGUF files, read again by `gguf` and computed with by the reference.

To add a case: a mixture or a checkpoint joins by itself; a wrong call goes in the list of the last test.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from click.testing import CliRunner, Result
from gguf import GGMLQuantizationType as GgmlType
from gguf_files import CONFIG, llama_metadata, llama_tensors, write_gguf, write_llama
from paths import DATA
from tiny_models import dequantized, random_tensors, tiny_config
from tiny_models import write_gguf as write_tiny

from pyllama3.analysis.reference import ReferenceModel
from pyllama3.cli import cli
from pyllama3.cli.convert import command
from pyllama3.config import RopeStyle
from pyllama3.errors import WeightsError
from pyllama3.weights import TensorType, Weights, load_weights
from pyllama3.weights.convert import convert as module
from pyllama3.weights.convert.convert import compare, convert
from pyllama3.weights.convert.gguf_writer import OutputTensor, gguf_size
from pyllama3.weights.convert.gguf_writer import write_gguf as write_ours
from pyllama3.weights.convert.mixtures import MIXTURES
from pyllama3.weights.layout import expected_shapes

CHECKPOINTS = sorted(path for path in (DATA / "checkpoints").iterdir() if path.is_dir())
LLAMA_CPP_GREEDY = json.loads((DATA / "llama_cpp_greedy.json").read_text())["greedy"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "source.gguf")


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert a few rows at a time, as is done with large models."""
    monkeypatch.setattr(module, "_RUN", 10_000)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, list(map(str, arguments)))


def contents(path: Path) -> dict[str, Any]:
    """Return the metadata as `gguf` reads it."""
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


# the writer


def test_gguf_reads_what_is_written(tmp_path: Path) -> None:
    metadata = {
        "general.architecture": "llama",
        "x.text": "Grüße 漢字 😀",
        "x.u32": 2**32 - 1,
        "x.u64": 2**32,
        "x.i32": -1,
        "x.i64": -(2**40),
        "x.float": 0.25,
        "x.bool": True,
        "x.strings": ["", "漢字"],
        "x.integers": [1, -2, 3],
        "x.large": [1, 2**40],
        "x.floats": [0.5, 2],
        "x.bools": [True, False],
    }
    values = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.ones(5, np.float32),
        "c": np.zeros((1, 1, 2), "f4"),
    }

    def chunks(array: np.ndarray) -> list[np.ndarray]:
        return [part.view(np.uint8) for part in np.array_split(array.reshape(-1), 2)]

    tensors = [
        OutputTensor(name, TensorType.F32, array.shape, lambda array=array: chunks(array))
        for name, array in values.items()
    ]
    path = tmp_path / "m.gguf"
    write_ours(path, metadata, tensors)
    assert path.stat().st_size == gguf_size(metadata, tensors)
    reader = gguf.GGUFReader(path)
    found = contents(path)
    assert {key: found[key] for key in metadata} == metadata
    types = {key: [kind.name for kind in field.types] for key, field in reader.fields.items()}
    assert (types["x.u32"], types["x.u64"], types["x.i32"], types["x.i64"]) == (
        ["UINT32"],
        ["UINT64"],
        ["INT32"],
        ["INT64"],
    )
    assert (types["x.float"], types["x.bool"]) == (["FLOAT32"], ["BOOL"])
    assert (types["x.integers"], types["x.large"]) == (["ARRAY", "INT32"], ["ARRAY", "INT64"])
    for tensor in reader.tensors:
        np.testing.assert_array_equal(tensor.data.reshape(values[tensor.name].shape), values[tensor.name])
        assert tensor.data_offset % 32 == 0


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"the old file")

    def chunks() -> Iterator[Any]:
        yield np.zeros(4, np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_ours(path, {}, [OutputTensor("a", TensorType.F32, (2,), chunks)])
    assert [file.name for file in tmp_path.iterdir()] == ["m.gguf"]
    assert path.read_bytes() == b"the old file"


def test_two_conversions_to_one_file_leave_a_whole_one(tmp_path: Path) -> None:
    path, other = tmp_path / "m.gguf", [OutputTensor("b", TensorType.F32, (3,), lambda: [np.full(12, 2, np.uint8)])]

    def chunks() -> Iterator[Any]:
        yield np.zeros(4, np.uint8)
        write_ours(path, {}, other)  # from its beginning to its end
        assert [tensor.name for tensor in gguf.GGUFReader(path).tensors] == ["b"]
        yield np.zeros(4, np.uint8)

    write_ours(path, {}, [OutputTensor("a", TensorType.F32, (2,), chunks)])
    assert [tensor.name for tensor in gguf.GGUFReader(path).tensors] == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == ["m.gguf"]


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.gguf"

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(WeightsError, match=r"m\.gguf: No space left on device"):
        write_ours(path, {}, [OutputTensor("a", TensorType.F32, (1 << 20,), lambda: [np.zeros(4 << 20, np.uint8)])])
    assert not list(tmp_path.iterdir())


# models


@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda path: path.name)
def test_a_converted_checkpoint_gives_the_logits_of_its_origin(checkpoint: Path, tmp_path: Path) -> None:
    """`gguf` reads the file, the reference computes: transformers or Meta's code gave the expected logits.

    From these files llama.cpp generates the same tokens.
    """
    path = tmp_path / "m.gguf"
    weights = load_weights(checkpoint)
    convert(weights, path, MIXTURES["F32"])
    converted = load_weights(path)
    assert replace(converted.config, norm_eps=0, rope_style=0) == replace(weights.config, norm_eps=0, rope_style=0)
    tensors = dequantized(path)
    factors = tensors.pop("rope_freqs.weight", None)
    config = replace(
        weights.config, rope_style=RopeStyle.INTERLEAVED, rope_factors=None if factors is None else tuple(factors)
    )
    reference = ReferenceModel(config, tensors)
    expected = np.load(checkpoint / "expected.npz")
    logits = reference.forward(expected["ids"].tolist(), reference.cache())
    assert ((logits - expected["logits"]) ** 2).sum() <= 1e-11 * (expected["logits"] ** 2).sum()
    assert expected["greedy"].tolist() == LLAMA_CPP_GREEDY[checkpoint.name]
    vocabulary, original = converted.load_vocabulary(), weights.load_vocabulary()
    assert (vocabulary.tokens, vocabulary.special) == (original.tokens, original.special)
    assert (vocabulary.bos_id, vocabulary.eos_id, vocabulary.stop_ids) == (
        original.bos_id,
        original.eos_id,
        original.stop_ids,
    )
    assert converted.load_templates() == weights.load_templates()


def test_metadata_is_kept_and_tells_the_types(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    changes = {
        "general.license": "mit",
        "general.alignment": 64,
        "general.file_type": 1,
        "tokenizer.chat_template": "{{ x }}",
    }
    convert(load_weights(write_llama(source, changes)), path, MIXTURES["Q5_K_M"])
    before, after = contents(source), contents(path)
    assert (after["general.file_type"], after["general.quantization_version"]) == (17, 2)
    assert "general.alignment" not in after
    kept = [key for key in before if key.startswith(("tokenizer.", "llama.", "general.name", "general.license"))]
    assert len(kept) > 15
    for key in kept:
        assert after[key] == before[key], key


def test_tensors_of_the_type_wanted_are_copied(source: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "1.gguf", tmp_path / "2.gguf"
    convert(load_weights(source), first, MIXTURES["Q4_0"])
    convert(load_weights(first), second, MIXTURES["Q4_0"])
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize("mixture", MIXTURES)
def test_gguf_reads_every_mixture(tmp_path: Path, mixture: str) -> None:
    config = tiny_config(dim=256, layers=2, head_dim=64, hidden_dim=288)
    tensors = random_tensors(config, seed=3)
    source = tmp_path / "source.gguf"
    metadata = llama_metadata() | {"llama.embedding_length": 256, "llama.feed_forward_length": 288}
    vocab = len(metadata["tokenizer.ggml.tokens"])
    for name in ("token_embd.weight", "output.weight"):
        tensors[name] = tensors[name][:vocab]
    write_gguf(source, metadata, tensors)
    path = tmp_path / "m.gguf"
    weights = load_weights(source)
    convert(weights, path, MIXTURES[mixture])
    errors = {error.name: error for error in compare(weights, path)}
    for tensor in gguf.GGUFReader(path).tensors:
        values, exact = gguf.dequantize(tensor.data, tensor.tensor_type), tensors[tensor.name]
        error = errors[tensor.name]
        assert error.type.name == tensor.tensor_type.name
        assert error.relative == pytest.approx(
            np.sqrt(((values - exact) ** 2).sum() / (exact**2).sum()), rel=1e-3, abs=1e-9
        )
        assert error.largest == pytest.approx(np.abs(values - exact).max(), rel=1e-6)
        assert error.relative < 0.35


@pytest.mark.parametrize("type", ["IQ1_M", "IQ2_XXS", "IQ3_S", "TQ1_0"])
def test_types_that_are_only_read_can_be_converted(tmp_path: Path, type: str) -> None:
    source, path = tmp_path / "source.gguf", tmp_path / "m.gguf"
    config = tiny_config(dim=256, layers=1, head_dim=64, hidden_dim=512)
    write_tiny(source, config, random_tensors(config, seed=3), GgmlType[type])
    convert(load_weights(source), path, MIXTURES["F32"])
    converted = dequantized(path)
    for name, exact in dequantized(source).items():
        np.testing.assert_array_equal(converted[name], exact)
    report = CliRunner().invoke(cli, ["inspect", str(source), "--tensors"]).stdout
    assert next(line for line in report.splitlines() if line.startswith("blk.0.ffn_up.weight")).split()[1] == type
    assert f"is quantized already ({type})" in run(source, path, "--force", "--type", "Q4_0").stderr


def test_rope_scaling_becomes_factors(tmp_path: Path) -> None:
    changes = {
        "llama.rope.scaling.type": "yarn",
        "llama.rope.scaling.factor": 4.0,
        "llama.rope.scaling.original_context_length": 16,
    }
    weights = load_weights(write_llama(tmp_path / "source.gguf", changes))
    path = tmp_path / "m.gguf"
    convert(weights, path, MIXTURES["F32"])
    found = contents(path)
    assert not [key for key in found if "rope.scaling" in key and not key.endswith("attn_factor")]
    assert found["llama.rope.scaling.attn_factor"] == pytest.approx(1 + 0.1 * np.log(4))
    converted = load_weights(path).config
    assert converted.rope_factors == weights.config.rope_factors
    assert converted.rope_magnitude == pytest.approx(weights.config.rope_magnitude)


@pytest.mark.parametrize(
    ("type", "value"), [("Q8_0", np.nan), ("Q4_K_M", np.inf), ("Q4_1", 70000), ("F16", 70000), ("F16", -np.inf)]
)
def test_numbers_must_be_finite(tmp_path: Path, type: str, value: float) -> None:
    tensors = llama_tensors()
    tensors["blk.1.ffn_up.weight"][5, 7] = value
    source = write_gguf(tmp_path / "source.gguf", llama_metadata(), tensors)
    with pytest.raises(WeightsError, match=r"tensor 'blk.1.ffn_up.weight' has numbers that are not finite in"):
        convert(load_weights(source), tmp_path / "m.gguf", MIXTURES[type])
    assert [path.name for path in tmp_path.iterdir()] == ["source.gguf"]


def test_too_little_space_is_told_before_writing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(WeightsError, match=r"m\.gguf: needs 0\.00 GB, but .* has 0\.00 GB left"):
        convert(load_weights(source), tmp_path / "m.gguf", MIXTURES["F16"])
    assert not (tmp_path / "m.gguf").exists()


def test_compare_needs_the_same_tensors(source: Path, tmp_path: Path) -> None:
    other = write_gguf(tmp_path / "other.gguf", llama_metadata(), random_tensors(CONFIG, seed=1))
    assert list(compare(load_weights(source), other))
    with pytest.raises(WeightsError, match=r"tensor 'output\.weight' is missing or has another shape"):
        list(compare(load_weights(other), source))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_conversion_needs_little_memory(tmp_path: Path) -> None:
    config = tiny_config(
        dim=2048, layers=1, heads=16, kv_heads=4, head_dim=128, hidden_dim=8192, vocab_size=CONFIG.vocab_size
    )
    source = tmp_path / "source.gguf"
    tensors = {name: np.full(shape, 0.5, np.float32) for name, shape in module_shapes(config)}
    metadata = llama_metadata() | {
        "llama.embedding_length": 2048,
        "llama.block_count": 1,
        "llama.feed_forward_length": 8192,
        "llama.attention.head_count": 16,
        "llama.attention.head_count_kv": 4,
    }
    write_gguf(source, metadata, tensors, {name: GgmlType.F16 for name, values in tensors.items() if values.ndim == 2})
    del tensors
    weights = load_weights(source)
    grown = []
    start = anonymous_memory()
    convert(
        weights, tmp_path / "m.gguf", MIXTURES["Q8_0"], lambda done, total: grown.append(anonymous_memory() - start)
    )
    assert source.stat().st_size > 110e6
    assert max(grown) < 90e6


def module_shapes(config: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, shape in expected_shapes(config):
        if name != "output.weight":
            yield name, shape


def anonymous_memory() -> int:
    """Return the bytes in memory that belong to no file."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


# the command


def test_the_command_writes_and_verifies(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    result = run(source, path, "--type", "q4_k_m", "--verify")
    assert (result.exit_code, result.exception) == (0, None)
    assert "bits per weight" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["tensor", "type", "relative", "error", "largest", "error"]
    weights = load_weights(path)
    assert [line.split()[:2] for line in lines[1:]] == [
        [name, tensor.type.name] for name, tensor in weights.tensors.items()
    ]
    errors = {line.split()[0]: float(line.split()[2]) for line in lines[1:]}
    assert errors["output_norm.weight"] == 0
    assert 0.02 < errors["blk.0.attn_q.weight"] < 0.06  # Q5_0, as the rows are too short for Q4_K
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.skipif(sys.platform == "win32", reason="needs /dev/null")
def test_a_model_goes_to_what_is_no_file(source: Path) -> None:
    result = run(source, Path(os.devnull))
    assert result.exit_code == 0
    assert "bits per weight" in result.stderr
    assert Path(os.devnull).is_char_device()


def test_an_existing_file_is_replaced_only_with_force(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"precious")
    result = run(source, path)
    assert isinstance(result.exception, WeightsError)
    assert str(result.exception) == f"{path}: exists already; --force replaces it"
    assert path.read_bytes() == b"precious"
    assert run(source, path, "--force").exit_code == 0
    assert load_weights(path).tensors["blk.0.attn_q.weight"].type == TensorType.Q8_0


def test_a_model_can_replace_itself(source: Path) -> None:
    before: Weights = load_weights(source)
    values = {name: tensor.dequantize() for name, tensor in before.tensors.items()}
    assert run(source, source, "--force", "--type", "F16").exit_code == 0
    for name, tensor in load_weights(source).tensors.items():
        np.testing.assert_allclose(tensor.dequantize(), values[name], rtol=1e-3, atol=1e-7)


def test_a_quantized_source_is_pointed_out(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "q.gguf", "--type", "Q4_0")
    result = run(tmp_path / "q.gguf", tmp_path / "m.gguf", "--type", "Q8_0")
    assert "is quantized already (Q4_0, Q8_0)" in result.stderr  # the embedding is the output matrix, too
    assert "quantized already" not in run(source, tmp_path / "n.gguf").stderr


def test_wrong_types_and_places(source: Path, tmp_path: Path) -> None:
    result = run(source, tmp_path / "m.gguf", "--type", "Q9")
    assert result.exit_code == 2
    assert "'Q9'" in result.stderr
    missing = tmp_path / "nowhere" / "m.gguf"
    assert f"there is no directory {missing.parent}" in str(run(source, missing).exception)
    assert "convert" in CliRunner().invoke(cli, ["--help"]).stdout
