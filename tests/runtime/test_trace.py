"""`Llama.trace`: what stands inside the model, against the numpy reference.

To add a case: another number of tokens, or another shape of the model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_models import dequantized, random_tensors, tiny_config, write_gguf, write_tiny

from pyllama3 import Llama
from pyllama3.analysis.reference import Record, ReferenceModel
from pyllama3.backends import Engine
from pyllama3.errors import ContextError, OptionError

IDS = [269, 7, 104, 0, 287, 7, 33]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("trace") / "tiny.gguf", 6)


@pytest.fixture
def llm(engine: Engine, path: Path) -> Llama:
    return Llama.load(path, backend=engine.name, threads=1, precision="exact")


def test_a_trace_has_what_the_reference_computes(llm: Llama, path: Path) -> None:
    trace = llm.trace(IDS)
    model, record = ReferenceModel(tiny_config(), dequantized(path)), Record()
    logits = model.forward(IDS, model.cache(), record)
    assert trace.ids == tuple(IDS)
    np.testing.assert_allclose(trace.hidden[0], record["token_embd"], atol=1e-6)
    for layer in range(tiny_config().layers):
        named = {
            "attn_output": trace.attention_updates[layer],
            "down": trace.feed_forward_updates[layer],
            "q_rope": trace.queries[layer],
            "k_rope": trace.keys[layer],
            "ffn_residual": trace.hidden[layer + 1],
        }
        for name, found in named.items():
            np.testing.assert_allclose(found, record[f"blk.{layer}.{name}"], rtol=1e-4, atol=1e-4, err_msg=name)
        expected = record[f"blk.{layer}.probabilities"].transpose(1, 0, 2)
        np.testing.assert_allclose(trace.attention(layer), expected, atol=1e-5)
        np.testing.assert_array_equal(trace.attention(layer, 1), trace.attention(layer)[1])
        np.testing.assert_allclose(trace.lens(layer), model.head(trace.hidden[layer].astype(float)), atol=1e-3)
    np.testing.assert_allclose(trace.logits, logits, atol=1e-3)


def test_logits_are_those_of_a_session_also_of_many_tokens(engine: Engine, tmp_path: Path) -> None:
    path, config = tmp_path / "m.gguf", tiny_config(context=200)
    write_gguf(path, config, random_tensors(config, 1))
    count = 150 if engine.name == "c" else 9  # more than a batch, where that takes no minute
    ids = [n * 7 % 288 for n in range(count)]
    with Llama.load(path, backend=engine.name, threads=1) as llm, llm.session() as session:
        trace = llm.trace(ids)
        np.testing.assert_array_equal(trace.logits, session.feed(ids, all_logits=True))
        assert trace.attention(0, 0).shape == (count, count)
        np.testing.assert_allclose(trace.attention(1).sum(axis=-1), 1, rtol=1e-5)


def test_a_text_is_a_prompt(llm: Llama) -> None:
    assert list(llm.trace("the").ids) == llm.encode_prompt("the")


def test_what_is_not_there_is_refused(llm: Llama) -> None:
    trace = llm.trace(IDS)
    for call, message in (
        (lambda: trace.attention(2), "layer is 2; allowed: 0 to 1"),
        (lambda: trace.attention(-1), "layer is -1; allowed: 0 to 1"),
        (lambda: trace.attention(0, 4), "head is 4; allowed: 0 to 3"),
        (lambda: trace.lens(3), "layers is 3; allowed: 0 to 2"),
    ):
        with pytest.raises(OptionError, match=f"^{message}$"):
            call()
    with pytest.raises(ContextError, match="do not fit into the context"):
        llm.trace([1] * (llm.context + 1))
