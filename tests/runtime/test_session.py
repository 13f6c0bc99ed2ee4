"""Sessions: what they hold, and what they refuse. Their numbers are checked in test_engine.py.

To add a case: tokens that `feed` must refuse, with the error and its line.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import load_tiny
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3.backends import Engine
from pyllama3.errors import BackendError, ContextError, OptionError, WeightsError
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.runtime.state import State
from pyllama3.weights import load_weights


@pytest.fixture
def session(engine: Engine, tmp_path: Path) -> Session:
    config = tiny_config(layers=1)
    model, _ = load_tiny(engine, tmp_path / "tiny.gguf", config, random_tensors(config, 1))
    return Session(model, context=10)


def test_a_session_knows_its_tokens(session: Session) -> None:
    assert (session.position, session.ids, session.context) == (0, (), 10)
    session.feed([1, 2, 3])
    session.feed(range(4, 5))
    assert (session.position, session.ids) == (4, (1, 2, 3, 4))
    session.rewind(1)
    assert (session.position, session.ids) == (1, (1,))


def test_feed_returns_the_logits_after_the_last_token_or_after_each(session: Session) -> None:
    each = session.feed([1, 2, 3], all_logits=True)
    session.rewind(0)
    last = session.feed([1, 2, 3])
    assert each.shape == (3, session.config.vocab_size)
    assert each.dtype == last.dtype == np.float32
    np.testing.assert_array_equal(each[2], last)
    session.rewind(2)
    assert session.feed([3], all_logits=True).shape == (1, session.config.vocab_size)


def test_logits_outlive_the_next_feed(session: Session) -> None:
    logits = session.feed([1])
    copy = logits.copy()
    session.feed([2])
    np.testing.assert_array_equal(logits, copy)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_an_error_that_names_the_model(
    engine: Engine, tmp_path: Path, number: float
) -> None:
    config = tiny_config(layers=1)
    tensors = random_tensors(config, 1)
    tensors["token_embd.weight"][7] = number
    model, _ = load_tiny(engine, tmp_path / "damaged.gguf", config, tensors)
    session = Session(model, context=10)
    session.feed([1, 2])
    found = "(288 of 288 logits are not finite numbers|a number in the forward pass is not finite .*)"
    message = rf"damaged\.gguf: {found}; the weights are damaged, or too large for this precision$"
    with pytest.raises(WeightsError, match=message):
        session.feed([7])
    assert session.ids == (1, 2)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([], OptionError, "there are no tokens to feed"),
        ([1, 288], OptionError, "token 288 is not in the vocabulary; allowed: 0 to 287"),
        ([-1], OptionError, "token -1 is not in the vocabulary; allowed: 0 to 287"),
        (range(8), ContextError, r"3 \+ 8 tokens do not fit into the context of 10 tokens"),
    ],
)
def test_feed_refuses_as_a_whole(session: Session, ids: list[int], error: type[Exception], message: str) -> None:
    session.feed([1, 2, 3])
    with pytest.raises(error, match=f"^{message}$"):
        session.feed(ids)
    assert session.ids == (1, 2, 3)
    session.feed(range(7))
    with pytest.raises(ContextError, match=r"^10 \+ 1 tokens"):
        session.feed([0])


def test_a_session_takes_memory_for_what_it_holds(engine: Engine, tmp_path: Path) -> None:
    config = tiny_config(layers=1, context=4096)
    model, _ = load_tiny(engine, tmp_path / "tiny.gguf", config, random_tensors(config, 1))
    session, whole = Session(model, context=4096), State(model, context=4096)
    sizes = []
    for position in range(40):
        for array, value in ((whole.tokens, position), (whole.positions, position), (whole.sequence_ids, 0)):
            array[0] = value
        np.testing.assert_array_equal(session.feed([position]), whole.forward(1, 1)[0])
        sizes.append(sum(map(len, session._state.cache)))
    assert sizes == sorted(sizes)
    assert sizes[0] * 256 == sizes[-1] * 64 == sum(map(len, whole.cache))
    session.feed(range(40, 140))
    for view, expected in zip(session.cache_views(32), whole.cache_views(32), strict=True):
        np.testing.assert_array_equal(view, expected)


@pytest.mark.parametrize("position", [-1, 4])
def test_rewind_refuses_what_the_session_does_not_hold(session: Session, position: int) -> None:
    session.feed([1, 2, 3])
    with pytest.raises(OptionError, match=f"^cannot rewind to {position}; the session holds 3 tokens$"):
        session.rewind(position)
    session.rewind(3)
    assert session.position == 3


def test_a_session_can_be_closed_twice(session: Session) -> None:
    with session as same:
        assert same is session
        session.close()


@pytest.mark.parametrize(
    ("change", "message"), [({"layers": 161}, "layers 161; the engine allows 160"), ({"head_dim": 514}, "514")]
)
def test_a_model_beyond_the_limits_of_the_engine_is_refused(
    engine: Engine, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "tiny.gguf"
    write_gguf(path, tiny_config(), random_tensors(tiny_config(), 1))
    read = load_weights(path)
    weights = replace(read, config=replace(read.config, **change))
    with pytest.raises(WeightsError, match=message):
        EngineModel(engine, weights, threads=1)


@pytest.mark.parametrize("length", [2**60, 2**62])  # too much for the machine, too much for an array
def test_too_little_memory_is_an_error_of_the_backend(engine: Engine, length: int) -> None:
    if length == 2**60 and "libasan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("the address sanitizer ends the process where malloc would return null")
    with pytest.raises(BackendError, match=f"no memory for {length} numbers of type float32"):
        engine.empty("float32", length)
