"""Meta's directories: parameters against those of the released models, shards against torch's own files.

To add a case: keys of params.json, or an array of a shard, with the line that refuses it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import assert_any_values, assert_errors_only, failure, is_mapped
from pth_files import Stored, pickled, write_archive, write_pth
from safetensors_files import CHECKPOINTS, change_json, copied

from pyllama3.config import RopeStyle
from pyllama3.errors import TokenizerError, WeightsError
from pyllama3.tokenizer.builtin_templates import LLAMA3
from pyllama3.tokenizer.chat_template import find_template
from pyllama3.weights import Tensor, TensorType, load_weights
from pyllama3.weights.formats.keys import Keys
from pyllama3.weights.formats.meta import _read_config, hidden_dim
from pyllama3.weights.formats.pth import read_pth

ONE, TWO = "meta-f16", "meta-2-shards-bf16"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return copied(ONE, tmp_path)


def params(**changes: Any) -> Keys:
    values = {"dim": 2048, "n_layers": 16, "n_heads": 32, "n_kv_heads": 8, "vocab_size": 128256} | changes
    return Keys(Path("params.json"), values)


def rewrite(directory: Path, changes: dict[str, Any], file: str = "consolidated.00.pth") -> None:
    """Write a shard again as F16, with some tensors changed, or removed by None."""
    arrays: dict[str, Any] = {
        name: tensor.data.view(np.float16).reshape(tensor.shape) for name, tensor in read_pth(directory / file).items()
    }
    arrays |= changes
    write_pth(directory / file, {name: array for name, array in arrays.items() if array is not None})


def test_config(directory: Path) -> None:
    config = load_weights(directory).config
    assert (config.dim, config.layers, config.heads, config.kv_heads, config.head_dim) == (32, 2, 4, 2, 8)
    assert (config.hidden_dim, config.vocab_size, config.context) == (112, 556, 131072)
    assert (config.norm_eps, config.rope_theta, config.rope_style) == (1e-5, 500000.0, RopeStyle.INTERLEAVED)
    assert config.name == ONE
    change_json(directory / "params.json", {"vocab_size": -1, "n_kv_heads": None, "use_scaled_rope": ..., "surplus": 1})
    with pytest.raises(WeightsError, match=r"attn_k.weight' has shape"):
        load_weights(directory)  # as many key heads as heads
    change_json(directory / "params.json", {"n_kv_heads": 2, "norm_eps": ..., "rope_theta": ...})
    config = load_weights(directory).config
    assert (config.vocab_size, config.context, config.rope_factors) == (556, 8192, None)
    assert (config.norm_eps, config.rope_theta) == (1e-5, 500000.0)


@pytest.mark.parametrize(
    ("dim", "multiplier", "multiple_of", "expected"),
    [
        (4096, 1.3, 1024, 14336),
        (8192, 1.3, 4096, 28672),
        (16384, 1.2, 4096, 53248),
        (2048, 1.5, 256, 8192),
        (3072, 1.0, 256, 8192),
    ],
)
def test_hidden_dim_of_the_real_models(dim: int, multiplier: float, multiple_of: int, expected: int) -> None:
    assert hidden_dim(dim, multiplier, multiple_of) == expected


@pytest.mark.parametrize(
    ("changes", "ones", "between", "factor"),
    [
        ({}, 15, [1.6513, 3.2923, 9.6667], 32),
        ({"dim": 3072, "n_layers": 28, "n_heads": 24}, 29, [1.2349, 1.6513, 2.2767, 3.2923, 5.1716, 9.6667], 32),
        ({"dim": 4096, "n_layers": 32}, 29, [1.2075, 1.5534, 2.0263, 2.6945, 3.6843, 5.2573], 8),
        ({"dim": 8192, "n_layers": 80, "n_heads": 64}, 29, [1.2075, 1.5534, 2.0263, 2.6945, 3.6843, 5.2573], 8),
    ],
)
def test_rope_factors_follow_from_the_shape(
    changes: dict[str, Any], ones: int, between: list[float], factor: float
) -> None:
    """The tables are those of rope_freqs.weight in published GGUF files."""
    config = _read_config(params(use_scaled_rope=True, **changes), "m", 128256)
    assert config.rope_factors is not None
    rest = config.head_dim // 2 - ones - len(between)
    np.testing.assert_allclose(config.rope_factors, [1] * ones + between + [factor] * rest, rtol=5e-5)


def test_shards_are_put_together_along_the_right_axis() -> None:
    """Each shard has the rows (of some matrices the columns) that its number says."""
    weights = load_weights(CHECKPOINTS / TWO)
    shards = [read_pth(CHECKPOINTS / TWO / f"consolidated.0{n}.pth") for n in range(2)]

    def values(tensor: Tensor) -> Any:
        return tensor.dequantize()

    for name, part, axis in [
        ("token_embd", "tok_embeddings", 0),
        ("output", "output", 0),
        *((f"blk.1.attn_{x}", f"layers.1.attention.w{x}", 0) for x in "qkv"),
        ("blk.0.ffn_gate", "layers.0.feed_forward.w1", 0),
        ("blk.0.ffn_up", "layers.0.feed_forward.w3", 0),
        ("blk.0.attn_output", "layers.0.attention.wo", 1),
        ("blk.0.ffn_down", "layers.0.feed_forward.w2", 1),
    ]:
        parts = [values(shard[f"{part}.weight"]) for shard in shards]
        np.testing.assert_array_equal(values(weights.tensors[f"{name}.weight"]), np.concatenate(parts, axis))
        assert weights.tensors[f"{name}.weight"].type == TensorType.BF16
    np.testing.assert_array_equal(
        values(weights.tensors["blk.1.ffn_norm.weight"]), values(shards[0]["layers.1.ffn_norm.weight"])
    )


def test_shards_are_put_together_only_when_they_are_used() -> None:
    for tensor in load_weights(CHECKPOINTS / TWO).tensors.values():
        is_matrix = len(tensor.shape) == 2
        assert len(tensor.shards) == (2 if is_matrix else 1)
        assert all(is_mapped(shard) == is_matrix for shard in tensor.shards)
        assert tensor.data.nbytes == tensor.nbytes
        assert not tensor.data.flags.writeable


def test_one_shard_is_not_copied() -> None:
    tensors = load_weights(CHECKPOINTS / ONE).tensors
    assert len(tensors) == 21
    assert all(is_mapped(tensor.data) == (len(tensor.shape) == 2) for tensor in tensors.values())


def test_a_file_stands_for_its_directory(directory: Path) -> None:
    by_file = load_weights(directory / "consolidated.00.pth")
    assert by_file.config == load_weights(directory).config
    shutil.copy(directory / "consolidated.00.pth", directory / "other.pth")
    assert failure(directory / "other.pth").endswith("only files named consolidated.00.pth and so on are supported")


def test_an_output_tied_to_the_embedding(directory: Path, tmp_path: Path) -> None:
    """torch stores a tensor under two names once; two equal ones are one by their checksums, if there are any."""
    path = directory / "consolidated.00.pth"
    arrays = {name: t.data.view(np.float16).reshape(t.shape) for name, t in read_pth(path).items()}
    rewrite(directory, {"output.weight": arrays["tok_embeddings.weight"]})
    assert "output.weight" not in load_weights(directory).tensors
    write_pth(path, arrays | {"output.weight": arrays["tok_embeddings.weight"]}, checksum=0)
    weights = load_weights(directory)
    np.testing.assert_array_equal(weights.tensors["output.weight"].data, weights.tensors["token_embd.weight"].data)
    write_pth(path, arrays, checksum=7)
    assert "output.weight" in load_weights(directory).tensors
    stored, files = {}, {}
    for number, (name, array) in enumerate(arrays.items()):
        stored[name] = Stored(str(number), array.size, array.shape, "float16")
        files[f"data/{number}"] = array.tobytes()
    stored["output.weight"] = stored["tok_embeddings.weight"]
    write_archive(path, {"data.pkl": pickled(stored), **files})
    assert "output.weight" not in load_weights(directory).tensors
    rewrite(directory, {"output.weight": None, "rope.freqs": np.ones(4, np.float16)})
    assert "output.weight" not in load_weights(directory).tensors


def test_tokenizer_and_template(directory: Path) -> None:
    vocabulary = load_weights(directory).load_vocabulary()
    assert len(vocabulary.tokens) == 556
    assert (vocabulary.name(vocabulary.bos_id), vocabulary.add_bos) == ("<|begin_of_text|>", True)
    assert find_template({}, vocabulary) is None
    instruct = directory.rename(directory.with_name("Llama3.1-8B-Instruct"))
    template = find_template({}, load_weights(instruct).load_vocabulary())
    assert template is not None
    assert template.source == LLAMA3
    (instruct / "tokenizer.model").write_bytes(
        (directory.parent / instruct / "tokenizer.model").read_bytes() + b"YWJjZGVm 300"
    )
    with pytest.raises(TokenizerError, match=r"tokenizer.model: has 557 tokens, the model has 556"):
        load_weights(instruct).load_vocabulary()
    (instruct / "tokenizer.model").unlink()
    with pytest.raises(TokenizerError, match=r"tokenizer.model: No such file"):
        load_weights(instruct).load_vocabulary()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": ...}, "no metadata key 'dim'"),
        ({"dim": 0}, "dim is 0; allowed: an integer from 1"),
        ({"dim": 1 << 40}, "dim is 1099511627776; allowed"),
        ({"n_layers": 3}, "missing tensor 'blk.2.attn_norm.weight'"),
        ({"n_layers": 1}, "is not part of a Llama model with 1 layers"),
        ({"n_layers": 2**31 - 1}, "missing tensor 'blk.2.attn_norm.weight'"),
        ({"n_heads": 3}, "n_kv_heads is 2; allowed: a divisor of the 3 heads"),
        ({"n_heads": 6}, "n_heads is 6; allowed: a divisor of the dimension 32"),
        ({"n_heads": 32}, "n_heads is 32; allowed: a divisor of the dimension 32"),
        ({"vocab_size": 500}, "tensor 'token_embd.weight' has shape (556, 32)"),
        ({"ffn_dim_multiplier": 1.5}, "tensor 'blk.0.ffn_gate.weight' has shape (112, 32)"),
        ({"ffn_dim_multiplier": "x"}, "ffn_dim_multiplier is 'x'; allowed: a positive number"),
        ({"multiple_of": 2**31 - 1}, "tensor 'blk.0.ffn_gate.weight' has shape (112, 32)"),
        ({"norm_eps": -1}, "norm_eps is -1; allowed: a positive number"),
        ({"use_scaled_rope": 1}, "use_scaled_rope is 1; allowed: true or false"),
        ({"quantization_args": {"scheme": "int4"}}, "quantization_args is {'scheme': 'int4'}; allowed: nothing"),
        ({"vision_chunk_size": 448}, "vision_chunk_size is 448; allowed: nothing"),
    ],
)
def test_bad_params(directory: Path, changes: dict[str, Any], message: str) -> None:
    change_json(directory / "params.json", changes)
    assert message in failure(directory)


def test_bad_shards(directory: Path) -> None:
    two = copied(TWO, directory.parent)
    shutil.copy(two / "consolidated.01.pth", two / "consolidated.03.pth")
    assert "consolidated.02.pth is missing, but there is consolidated.03.pth" in failure(two)
    (two / "consolidated.03.pth").unlink()
    rewrite(two, {"norm.weight": None}, "consolidated.01.pth")
    assert "tensor 'token_embd.weight' is not in all shards with the same type and shape" in failure(two)
    for odd in ({"x": np.ones((2, 2), np.float16)}, {"x": np.float16(1).reshape(())}):
        rewrite(directory, odd)
        for n in range(2):
            shutil.copy(directory / "consolidated.00.pth", two / f"consolidated.0{n}.pth")
        assert "tensor 'token_embd.weight' has shape" in failure(two)
    rewrite(directory, {"x": None})
    shutil.copy(directory / "consolidated.00.pth", two)
    rewrite(directory, {"norm.weight": None})
    shutil.copy(directory / "consolidated.00.pth", two / "consolidated.01.pth")
    assert "tensor 'output_norm.weight' is not in all shards" in failure(two)
    for file in two.glob("*.pth"):
        file.unlink()
    assert "no consolidated.00.pth beside params.json" in failure(two)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("tok_embeddings.weight", None, "missing tensor 'token_embd.weight'"),
        ("tok_embeddings.weight", np.float16(1).reshape(()), "has shape ()"),
        ("layers.1.attention.wq.weight", None, "missing tensor 'blk.1.attn_q.weight'"),
        ("norm.weight", np.ones((1, 32), np.float16), "tensor 'output_norm.weight' has shape (1, 32)"),
        ("layers.0.attention.wq.bias", np.ones(32, np.float16), "'layers.0.attention.wq.bias' is not part of a Llama"),
        ("layers.x.attention.wq.weight", np.ones(32, np.float16), "'layers.x.attention.wq.weight' is not part of a"),
    ],
)
def test_bad_tensors(directory: Path, name: str, array: Any, message: str) -> None:
    rewrite(directory, {name: array})
    assert message in failure(directory)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is not JSON: Expecting value"),
        ("[]", "the file is not an object in JSON"),
        ('{"dim": 1, "dim": 2}', "the file is not JSON: 'dim' occurs twice"),
        ('{"dim": ' + "1" * 5000 + "}", "the file is not JSON: has an integer of 5000 digits; at most 100 are read"),
        ("[" * 100_000, "the file is not JSON: is nested too deeply; at most 64 levels are read"),
        ("\x00", "the file is not JSON"),
    ],
)
def test_params_that_are_not_json(directory: Path, text: str, message: str) -> None:
    (directory / "params.json").write_text(text)
    assert f"{directory / 'params.json'}: {message}" in failure(directory)


def test_damaged_params_give_errors_only(directory: Path) -> None:
    path = directory / "params.json"
    assert json.loads(path.read_text())["dim"] == 32
    assert_errors_only(path, lambda: load_weights(directory), cuts=len(path.read_bytes()), changes=200)
    assert_any_values(path, lambda: load_weights(directory))
