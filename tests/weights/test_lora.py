"""LoRA adapters merged into weights: W + scale alpha/rank B A, of either kind of file into either kind of model.

The witness is that sum in numpy, over the rows that each kind of file has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from gguf_files import CONFIG, write_gguf, write_llama
from safetensors_files import copied, write_safetensors

from pyllama3 import Llama
from pyllama3.errors import WeightsError
from pyllama3.weights import TensorType, load_weights, with_lora

TIED = "huggingface-tied-bf16"
RANK, ALPHA = 3, 6.0

Matrix = npt.NDArray[np.float32]


def factors(rows: int, columns: int, seed: int) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(RANK, columns)).astype(np.float32), rng.normal(size=(rows, RANK)).astype(np.float32)


def write_peft(directory: Path, pairs: dict[str, tuple[Matrix, Matrix]], **settings: Any) -> Path:
    directory.mkdir()
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "bias": "none", **settings}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    names = {
        f"base_model.model.model.{name}.lora_{letter}.weight": array
        for name, pair in pairs.items()
        for letter, array in zip("AB", pair, strict=True)
    }
    write_safetensors(directory / "adapter_model.safetensors", names)
    return directory


def write_gguf_adapter(path: Path, pairs: dict[str, tuple[Matrix, Matrix]], **changes: Any) -> Path:
    metadata = {"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": ALPHA} | changes
    tensors = {
        f"{name}.lora_{letter}": array for name, pair in pairs.items() for letter, array in zip("ab", pair, strict=True)
    }
    return write_gguf(path, metadata, tensors)


def interleaved(rows: Matrix, heads: int) -> Matrix:
    """Return rows of q or k in GGUF's order, by hand."""
    width = len(rows) // heads
    order = [
        head * width + half * width // 2 + pair
        for head in range(heads)
        for pair in range(width // 2)
        for half in (0, 1)
    ]
    return rows[order]


def test_an_adapter_for_a_hugging_face_model(tmp_path: Path) -> None:
    base = load_weights(copied(TIED, tmp_path))
    q, down = factors(64, 32, 1), factors(32, 48, 2)
    pairs = {"layers.1.self_attn.q_proj": q, "layers.0.mlp.down_proj": down}
    peft = write_peft(tmp_path / "peft", pairs)
    in_gguf_order = {"blk.1.attn_q.weight": (q[0], interleaved(q[1], 4)), "blk.0.ffn_down.weight": down}
    for path in (peft, peft / "adapter_model.safetensors", write_gguf_adapter(tmp_path / "a.gguf", in_gguf_order)):
        merged = with_lora(base, path, 0.5)
        assert merged.tensors["blk.0.attn_q.weight"] is base.tensors["blk.0.attn_q.weight"]
        for name, (a, b) in {"blk.1.attn_q.weight": q, "blk.0.ffn_down.weight": down}.items():
            assert merged.tensors[name].type == TensorType.BF16
            expected = base.tensors[name].dequantize() + 0.5 * ALPHA / RANK * b @ a
            np.testing.assert_allclose(merged.tensors[name].dequantize(), expected, rtol=2**-8)


def test_an_adapter_for_a_gguf_model(tmp_path: Path) -> None:
    model = write_llama(tmp_path / "m.gguf")
    base = load_weights(model)
    a, b = factors(CONFIG.kv_dim, CONFIG.dim, 3)
    peft = write_peft(tmp_path / "peft", {"layers.0.self_attn.k_proj": (a, b)}, use_rslora=True)
    merged = with_lora(base, peft).tensors["blk.0.attn_k.weight"]
    change = ALPHA / np.sqrt(RANK) * interleaved(b, CONFIG.kv_heads) @ a
    expected = base.tensors["blk.0.attn_k.weight"].dequantize() + change
    np.testing.assert_allclose(merged.dequantize(), expected, rtol=1e-5, atol=1e-5)
    assert merged.type == TensorType.F32
    with (
        Llama.load(model, precision="exact") as plain,
        Llama.load(model, precision="exact", lora=[(peft, 1.0)]) as tuned,
    ):
        assert not np.allclose(plain.session().feed([1, 2]), tuned.session().feed([1, 2]))
    with (
        Llama.load(model, precision="exact") as plain,
        Llama.load(model, precision="exact", lora=[(peft, 0.0)]) as tuned,
    ):
        np.testing.assert_array_equal(plain.session().feed([1, 2]), tuned.session().feed([1, 2]))


@pytest.mark.parametrize(
    ("pairs", "settings", "message"),
    [
        ({"layers.9.mlp.up_proj": factors(96, 64, 1)}, {}, "changes 'blk.9.ffn_up.weight', which"),
        (
            {"layers.0.mlp.up_proj": factors(95, 64, 1)},
            {},
            "the factors of 'blk.0.ffn_up.weight' are (95, 3) and (3, 64)",
        ),
        ({"layers.0.mlp.up_proj": factors(96, 64, 1)}, {"use_dora": True}, "use_dora is True; allowed: nothing"),
        ({"layers.0.mlp.up_proj": factors(96, 64, 1)}, {"peft_type": "IA3"}, "only adapters of type LORA"),
        ({"layers.0.mlp.up_proj": factors(96, 64, 1)}, {"r": 0}, "r is 0; allowed: an integer from 1"),
        ({}, {}, "has no tensors"),
    ],
)
def test_adapters_that_do_not_fit(tmp_path: Path, pairs: Any, settings: dict[str, Any], message: str) -> None:
    base = load_weights(write_llama(tmp_path / "m.gguf"))
    with pytest.raises(WeightsError) as info:
        with_lora(base, write_peft(tmp_path / "peft", pairs, **settings))
    assert message in str(info.value)
    assert "\n" not in str(info.value)


def test_an_adapter_is_no_model_and_a_model_no_adapter(tmp_path: Path) -> None:
    pair = {"blk.0.ffn_up.weight": factors(96, 64, 1)}
    model, gguf = write_llama(tmp_path / "m.gguf"), write_gguf_adapter(tmp_path / "a.gguf", pair)
    for path in (gguf, write_peft(tmp_path / "peft", {})):
        with pytest.raises(WeightsError, match="a LoRA adapter; load the model that it was made for, with --lora"):
            load_weights(path)
    with pytest.raises(WeightsError, match=r"no metadata key 'general.type'; 'adapter' is needed"):
        with_lora(load_weights(model), model)
    with pytest.raises(WeightsError, match="no such file"):
        with_lora(load_weights(model), tmp_path / "absent")
