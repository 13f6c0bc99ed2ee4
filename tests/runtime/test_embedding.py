"""`Llama.embed`: pooled hidden states, against the numpy reference.

To add a case: texts of other lengths; the cut into batches must not be seen in the vectors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from engines import Floats
from tiny_models import dequantized, tiny_config, write_tiny

from pyllama3 import Llama
from pyllama3.analysis.reference import Record, ReferenceModel
from pyllama3.backends import Engine
from pyllama3.errors import ContextError, OptionError
from pyllama3.runtime.embedding import Pooling, embed

TEXTS = ["the old world", "e", "The end, and the beginning.", "the old world"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("embed") / "tiny.gguf", 6)


@pytest.fixture
def llm(engine: Engine, path: Path) -> Llama:
    return Llama.load(path, backend=engine.name, threads=1, precision="exact")


def expected(path: Path, ids: list[int], pooling: Pooling) -> Floats:
    """Return a vector that is not normalized."""
    model, record = ReferenceModel(tiny_config(), dequantized(path)), Record()
    model.forward(ids, model.cache(), record)
    states = record["output_norm"]
    return states.mean(axis=0) if pooling == "mean" else states[-1]  # type: ignore[no-any-return]


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_vectors_are_those_of_the_reference(llm: Llama, path: Path, pooling: Pooling) -> None:
    vectors = llm.embed(TEXTS, pooling=pooling)
    plain = llm.embed(TEXTS, pooling=pooling, normalize=False)
    assert vectors.shape == (4, llm.config.dim)
    assert vectors.dtype == np.float32
    for vector, raw, text in zip(vectors, plain, TEXTS, strict=True):
        reference = expected(path, llm.encode_prompt(text, special=False), pooling)
        np.testing.assert_allclose(raw, reference, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(vector, reference / np.linalg.norm(reference), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[3])


def test_company_does_not_change_a_vector(path: Path, engine: Engine) -> None:
    """The cut into batches and sequences: long texts among short ones, more texts than rows."""
    lengths = [1, 130, 2, 127, 128, 129, *([3] * 140), 300] if engine.name == "c" else [1, 9, 2]
    texts = [[(n + length) * 11 % 288 for n in range(length)] for length in lengths]
    with Llama.load(path, backend=engine.name, threads=2) as llm:
        together = embed(llm._model, texts, context=512, pooling="mean", normalize=True)
        for vector, ids in zip(together, texts, strict=True):
            alone = embed(llm._model, [ids], context=512, pooling="mean", normalize=True)[0]
            np.testing.assert_array_equal(vector, alone)
        last = embed(llm._model, texts, context=512, pooling="last", normalize=False)
        for vector, ids in zip(last, texts, strict=True):
            np.testing.assert_array_equal(
                vector, embed(llm._model, [ids], context=512, pooling="last", normalize=False)[0]
            )


def test_names_of_special_tokens_are_text(llm: Llama) -> None:
    assert not np.array_equal(*llm.embed(["<|eot_id|>", "e"]))
    assert llm.embed("the").shape == (1, llm.config.dim)
    assert llm.embed([]).shape == (0, llm.config.dim)


def test_what_cannot_be_embedded(llm: Llama) -> None:
    with pytest.raises(OptionError, match=r"^pooling is 'max'; allowed: mean, last$"):
        llm.embed("x", pooling="max")  # type: ignore[arg-type]
    with pytest.raises(ContextError, match=r"^text 1 has \d+ tokens; the context has \d+$"):
        llm.embed(["x", "x" * 2000])
    with pytest.raises(OptionError, match=r"the text is 5; a text is expected"):
        llm.embed([5])  # type: ignore[list-item]
    with pytest.raises(OptionError, match=r"^text 0 has no tokens"):
        embed(llm._model, [[]], context=9, pooling="last", normalize=True)
