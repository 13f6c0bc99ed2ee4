"""When logprobs are computed, and which logits are kept for them; test_stopping.py checks their values.

The witness is a count of what was computed.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from engines import built_engine
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3 import Llama
from pyllama3.generation.logprobs import Logprobs


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    path = tmp_path_factory.mktemp("logprobs") / "m.gguf"
    config = tiny_config()
    write_gguf(path, config, random_tensors(config, 1))
    return Llama.load(path, backend=built_engine("c").name, threads=1)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens whose logprobs have been computed."""
    computed: list[int] = []
    original = Logprobs._values.func

    def counted(logprobs: Logprobs) -> tuple[float, list[tuple[int, float]]]:
        computed.append(logprobs._id)
        return original(logprobs)

    counting = functools.cached_property(counted)
    counting.__set_name__(Logprobs, "_values")
    monkeypatch.setattr(Logprobs, "_values", counting)
    return computed


def test_logprobs_are_computed_when_they_are_read(llm: Llama, computed: list[int]) -> None:
    for at, piece in enumerate(llm.generate([7], max_tokens=10, temperature=0, top_logprobs=2)):
        assert computed == []
        if at == 7:
            assert piece.logprob == piece.top_logprobs[0][1]
            assert computed == [piece.id]
            computed.clear()
    assert at >= 7


def test_pieces_that_are_kept_let_the_logits_go(llm: Llama, computed: list[int]) -> None:
    pieces = []
    for piece in llm.generate([7], max_tokens=10, seed=2):
        pieces.append(piece)
        assert sum(piece._logprobs._logits is not None for piece in pieces) <= 2
    assert len(pieces) > 4
    assert computed == [piece.id for piece in pieces[:-2]]
    assert [piece.logprob for piece in pieces] == [piece.logprob for piece in llm.generate([7], max_tokens=10, seed=2)]


def test_pieces_of_a_batch_keep_their_logprobs(llm: Llama) -> None:
    scheduler = llm.scheduler(2)
    for id in (7, 8):
        scheduler.add(llm.generation([id], max_tokens=6, seed=id))
    pieces = []
    while scheduler.running:
        pieces += [piece for _, piece in scheduler.step()]
    logprobs = sorted(piece.logprob for piece in pieces)
    alone = sorted(piece.logprob for id in (7, 8) for piece in llm.generate([id], max_tokens=6, seed=id))
    np.testing.assert_allclose(logprobs, alone, rtol=0, atol=0)
