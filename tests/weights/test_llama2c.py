"""llama2.c files, written as its export does, against the reference on the same tensors.

To add a case: a header or a length in `test_bad_files`, with the line that refuses it.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from damage import assert_errors_only, failure_of, is_mapped
from engines import assert_forward
from llama2c_files import CONFIG, llama2c, rounded, write
from sentence_pieces import tokenizer_bin
from tiny_models import random_tensors, tiny_config

from pyllama3 import Llama
from pyllama3.analysis.reference import ReferenceModel
from pyllama3.backends import Engine
from pyllama3.errors import TokenizerError
from pyllama3.weights import TensorType, load_weights


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("bf16", [True, False])
def test_tensors_and_config(tmp_path: Path, tied: bool, bf16: bool) -> None:
    path, tensors = write(tmp_path, tied=tied, bf16=bf16)
    weights = load_weights(path)
    assert weights.config == replace(CONFIG, name="stories")
    assert weights.tensors.keys() == tensors.keys()
    for name, tensor in weights.tensors.items():
        np.testing.assert_array_equal(tensor.dequantize(), tensors[name], strict=True)
        is_matrix = len(tensor.shape) == 2
        assert tensor.type == (TensorType.BF16 if bf16 and is_matrix else TensorType.F32)
        assert is_mapped(tensor.data) or not is_matrix


def test_logits_and_text(engine: Engine, tmp_path: Path) -> None:
    path, tensors = write(tmp_path, tied=False, bf16=True)
    with Llama.load(path, backend=engine.name, precision="exact") as llm:
        ids = llm.encode_prompt("Once upon")
        assert ids[0] == 1
        reference = ReferenceModel(CONFIG, {name: array.astype(np.float64) for name, array in tensors.items()})
        logits = llm.session().feed(ids, all_logits=True)
        assert_forward(logits, reference.forward(ids, reference.cache()))
        assert llm.template is None


def test_llama3_vocabularies(tmp_path: Path, llama3_tokenizer_model: Path) -> None:
    """llama3.fu tells a Llama 3 by the size of its vocabulary."""
    config = tiny_config(dim=4, heads=2, kv_heads=1, head_dim=2, hidden_dim=4, layers=1, vocab_size=128256, context=8)
    path = tmp_path / "m.bin"
    path.write_bytes(llama2c(rounded(random_tensors(config, seed=1)), config, bf16=True))
    weights = load_weights(path)
    assert weights.config.rope_theta == 500000.0
    with pytest.raises(TokenizerError, match=r"tokenizer.model: No such file"):
        weights.load_vocabulary()
    (tmp_path / "tokenizer.model").symlink_to(llama3_tokenizer_model)
    assert len(weights.load_vocabulary().tokens) == 128256


def failure(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return failure_of(path)


def header(*changes: tuple[int, int]) -> bytes:
    values = [CONFIG.dim, CONFIG.hidden_dim, CONFIG.layers, CONFIG.heads, CONFIG.kv_heads, 400, CONFIG.context]
    for index, value in changes:
        values[index] = value
    return struct.pack("<7i", *values)


HUGE = 2**31 - 1


def test_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    content = llama2c(random_tensors(CONFIG, seed=1, tied=True), bf16=False)
    count = (len(content) - 28) // 4
    bf16_size = 28 + 2 * (count - CONFIG.context * CONFIG.head_dim)
    needed = f"by its header a llama2.c file has {len(content)} bytes in F32 or {bf16_size} bytes in BF16"
    assert failure(path, content[:-1]) == f"has {len(content) - 1} bytes; {needed}"
    assert failure(path, content + b"\0") == f"has {len(content) + 1} bytes; {needed}"
    assert failure(path, b"abc") == "has 3 bytes, less than the header of a llama2.c file"
    for changes in [(0, 0)], [(3, 3)], [(4, 3)], [(3, 64)], [(2, -1)], [(6, 0)], [(5, 0)], [(0, -64)]:
        assert failure(path, header(*changes) + content[28:]).startswith(
            "not a llama2.c file: it would have the sizes "
        )
    for version in (1, 2):
        new = struct.pack("<Ii", 0x616B3432, version) + content
        assert failure(path, new) == f"a llama2.c file of version {version}; supported: 0 (legacy)"
    for index in (0, 1, 2, 5, 6):
        assert "by its header a llama2.c file has" in failure(path, header((index, HUGE - HUGE % 8)) + content[28:])


def test_tokenizer_of_another_model(tmp_path: Path) -> None:
    path, _ = write(tmp_path, tied=True, bf16=False)
    (tmp_path / "tokenizer.bin").write_bytes(tokenizer_bin() + struct.pack("<fi", 0, 1) + b"x")
    with pytest.raises(TokenizerError, match=r"tokenizer.bin: has 401 tokens, the model has 400"):
        load_weights(path).load_vocabulary()


def test_damaged_files_give_errors_only(tmp_path: Path) -> None:
    path, _ = write(tmp_path, tied=True, bf16=False)
    assert_errors_only(path, lambda: load_weights(path), cuts=200, changes=300, region=range(28))
    path = tmp_path / "tokenizer.bin"
    load = load_weights(tmp_path / "stories.bin").load_vocabulary
    assert_errors_only(path, load, cuts=200, changes=300)
