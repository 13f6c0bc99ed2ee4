"""`pyllama3 inspect`, as a table and as JSON.

The witness is the metadata that the test has written. To add a case: keys to write, and what must be shown of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from gguf import GGMLQuantizationType as GgmlType
from gguf_files import CONFIG, VOCAB_SIZE, llama_metadata, llama_tensors, write_gguf, write_llama
from paths import DATA

from pyllama3.cli.inspect import command
from pyllama3.errors import OptionError, WeightsError

CHECKPOINTS = DATA / "checkpoints"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, list(map(str, arguments)))


def report(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tensors = llama_tensors()
    types = {"blk.0.attn_q.weight": GgmlType.Q8_0, "blk.1.attn_q.weight": GgmlType.Q8_0}
    return write_gguf(tmp_path / "m.gguf", llama_metadata(), tensors, types)


def test_json_tells_everything(model: Path) -> None:
    found = report(model, "--context", "10")
    tensors = llama_tensors()
    parameters = sum(values.size for values in tensors.values())
    matrix = CONFIG.dim**2
    assert (found["path"], found["format"], found["architecture"]) == (str(model), "GGUF", "llama")
    assert (found["name"], found["parameters"]) == (CONFIG.name, parameters)
    shape = found["shape"]
    for key in ("dim", "layers", "heads", "kv_heads", "head_dim", "hidden_dim", "vocab_size", "context"):
        assert shape[key] == getattr(CONFIG, key), key
    assert shape["tied"]
    assert found["rope"] == {"theta": CONFIG.rope_theta, "pairs": "interleaved"}
    q8_0 = {"type": "Q8_0", "tensors": 2, "parameters": 2 * matrix, "bytes": 2 * matrix * 34 // 32}
    rest = parameters - 2 * matrix
    assert found["types"] == [{"type": "F32", "tensors": len(tensors) - 2, "parameters": rest, "bytes": 4 * rest}, q8_0]
    cache = 2 * CONFIG.layers * CONFIG.kv_heads * CONFIG.head_dim * 10 * 2
    assert found["memory"] == {"context": 10, "weights": 4 * rest + q8_0["bytes"], "cache": cache}
    assert "tensors" not in found
    tokenizer = found["tokenizer"]
    assert (tokenizer["kind"], tokenizer["tokens"], tokenizer["special"]) == ("byte-level BPE", VOCAB_SIZE, 5)
    assert tokenizer["bos"] == {"id": VOCAB_SIZE - 5, "name": "<|begin_of_text|>"}
    assert [token["name"] for token in tokenizer["stop"]] == ["<|end_of_text|>", "<|eot_id|>"]


def test_tensors_are_listed(model: Path) -> None:
    listed = {tensor["name"]: tensor for tensor in report(model, "--tensors")["tensors"]}
    assert listed.keys() == llama_tensors().keys()
    assert listed["blk.1.attn_q.weight"]["type"] == "Q8_0"
    assert listed["token_embd.weight"]["shape"] == [VOCAB_SIZE, CONFIG.dim]
    assert listed["token_embd.weight"]["bytes"] == VOCAB_SIZE * CONFIG.dim * 4
    lines = run(model, "--tensors").stdout.splitlines()
    row = next(line for line in lines if line.startswith("blk.1.attn_q.weight"))
    assert row.split() == ["blk.1.attn_q.weight", "Q8_0", str(CONFIG.dim), "x", str(CONFIG.dim), "4.35", "kB"]


def test_the_table_fits_80_columns(model: Path) -> None:
    output = run(model, "--tensors").stdout
    assert max(map(len, output.splitlines())) <= 80
    for text in ("GGUF, architecture llama", "Q8_0", "byte-level BPE", "tied", "KV cache", "theta 10000", "<|eot_id|>"):
        assert text in output, text


def test_a_context_of_4096_or_less_is_the_default(model: Path, tmp_path: Path) -> None:
    assert report(model)["memory"]["context"] == CONFIG.context
    long = write_llama(tmp_path / "long.gguf", {"llama.context_length": 131072})
    assert report(long)["memory"]["context"] == 4096
    assert report(long, "-c", "131072")["memory"]["context"] == 131072


@pytest.mark.parametrize(
    ("template", "expected", "text"),
    [
        (None, {"origin": "built in", "kind": "Llama 3"}, "none of its own; Llama 3 is built in"),
        ("{{ '<|im_start|>' }}", {"origin": "model", "kind": "ChatML"}, "ChatML, 20 characters"),
        ("{{ x }}", {"origin": "model", "kind": "other"}, "other, 7 characters"),
        (
            "{% if %}",
            {"error": "chat template, line 1: Expected an expression, got 'end of statement block'"},
            "unusable",
        ),
    ],
)
def test_chat_templates(tmp_path: Path, template: str | None, expected: dict[str, str], text: str) -> None:
    path = write_llama(tmp_path / "m.gguf", {"tokenizer.chat_template": template})
    found = report(path)["chat_template"]
    assert {key: found.get(key) for key in expected} == expected
    assert text in run(path).stdout


def test_a_model_without_a_usable_tokenizer(tmp_path: Path) -> None:
    path = write_llama(tmp_path / "m.gguf", {"tokenizer.ggml.model": "bert"})
    assert "tokenizer.ggml.model is 'bert'" in report(path)["tokenizer"]["error"]
    assert "unusable: tokenizer.ggml.model is 'bert'" in run(path).stdout


def test_rope_scaling_and_an_output_matrix(tmp_path: Path) -> None:
    tensors = llama_tensors() | {"rope_freqs.weight": np.linspace(1, 8, CONFIG.head_dim // 2, dtype=np.float32)}
    tensors["output.weight"] = tensors["token_embd.weight"]
    metadata = llama_metadata() | {"llama.rope.scaling.attn_factor": 1.25}
    path = write_gguf(tmp_path / "m.gguf", metadata, tensors)
    found = report(path)
    assert found["rope"]["divisors"] == list(range(1, 9))
    assert found["rope"]["magnitude"] == 1.25
    assert not found["shape"]["tied"]
    text = " ".join(run(path).stdout.split())
    assert "angles divided by 1 to 8, magnitude 1.25" in text
    assert "output untied" in text


@pytest.mark.parametrize(
    ("name", "format"),
    [("huggingface-tied-bf16", "Hugging Face"), ("meta-f16", "Meta"), ("meta-2-shards-bf16", "Meta")],
)
def test_directories(name: str, format: str) -> None:
    found = report(CHECKPOINTS / name)
    assert found["format"] == format
    assert found["rope"]["pairs"] == ("half-split" if format == "Hugging Face" else "interleaved")
    assert found["tokenizer"]["kind"] == "byte-level BPE"


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = write_llama(tmp_path / "m.gguf", {"general.name": "red\x1b[31m\nname"})
    text = run(path).stdout
    assert "\x1b" not in text
    assert r"red\x1b[31m\nname" in text
    assert report(path)["name"] == "red\x1b[31m\nname"


def test_errors(model: Path, tmp_path: Path) -> None:
    result = run(model, "-c", "65")
    assert isinstance(result.exception, OptionError)
    assert str(result.exception) == "context is 65; allowed for this model: 1 to 64"
    (tmp_path / "bad.gguf").write_bytes(b"GGUF")
    assert isinstance(run(tmp_path / "bad.gguf").exception, WeightsError)
