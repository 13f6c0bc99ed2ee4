"""What users do wrong with the library: every case ends in a `PyLlama3Error` of one line.

To add a case: a call, and what its error begins with.
"""

from __future__ import annotations

import copy
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from engines import built_engine
from mypy import api as mypy
from scripted import START, script, write_scripted

from pyllama3 import Conversation, Llama, SamplerOptions
from pyllama3.errors import PyLlama3Error
from pyllama3.generation.options import SamplingOptions
from pyllama3.runtime.state import State


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scripted(tmp_path_factory.mktemp("misuse") / "m.gguf", script("hello", "<|eot_id|>"))


@pytest.fixture(scope="module")
def llm(path: Path) -> Iterator[Llama]:
    with Llama.load(path, backend=built_engine("c").name, threads=1) as llm:
        yield llm


def check(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(PyLlama3Error) as raised:
        call()
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda llm: llm.embed(5), "texts is 5; texts are expected"),
        (lambda llm: llm.embed([5]), "the text is 5; a text is expected"),
        (lambda llm: llm.trace(5), "the prompt is 5; token ids are expected"),
        (lambda llm: llm.trace([1.5]), "the tokens are [1.5]; token ids are expected"),
        (lambda llm: llm.agenerate("x", session=5), "session is 5; a Session is expected"),
    ],
)
def test_wrong_types(llm: Llama, call: Callable[[Any], Any], message: str) -> None:
    """tests/drills/test_arguments.py tries all arguments of other functions."""
    check(lambda: call(llm), message)


def test_a_name_is_for_load() -> None:
    for call in (lambda: Llama("smollm2"), Llama):  # type: ignore[call-arg,arg-type]
        check(call, "Llama() takes a model that is loaded; Llama.load('smollm2') loads one")


def test_a_model_shows_what_it_is(path: Path) -> None:
    llm = Llama.load(path, backend=built_engine("c").name, threads=1)
    assert repr(llm).startswith("<Llama 'tiny': 0.2 M parameters, 2 layers, ")
    assert repr(llm).endswith("context 64, backend 'c', 1 threads, precision 'default'>")
    llm.close()
    assert repr(llm) == "<Llama, closed>"


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_nothing_with_a_model_is_copied(llm: Llama, copied: Callable[[Any], Any]) -> None:
    check(lambda: copied(llm), "a Llama cannot be pickled or copied")
    check(lambda: copied(llm.session()), "a session cannot be pickled or copied")
    if copied is not copy.copy:
        check(lambda: copied(Conversation(llm)), "a Llama cannot be pickled or copied")
        check(lambda: copied(llm.scheduler(1)), "a model in an engine cannot be pickled or copied")


def test_what_is_closed(path: Path) -> None:
    llm = Llama.load(path, backend=built_engine("c").name, threads=1)
    session, closed = llm.session(), llm.session()
    pieces = llm.generate("x", session=session, max_tokens=3)
    closed.close()
    closed.close()
    check(lambda: closed.feed([1]), "the session is closed")
    check(lambda: llm.generate("x", session=closed), "the session is closed")
    llm.close()
    llm.close()
    calls: list[Callable[[], Any]] = [
        llm.session,
        lambda: llm.generate("x"),
        lambda: llm.embed("x"),
        lambda: llm.trace("x"),
        lambda: llm.scheduler(1),
        lambda: llm.config,
    ]
    for call in calls:
        check(call, "the model is closed")
    assert next(pieces).id >= 0  # what was begun goes on


def test_a_session_of_another_model(llm: Llama, path: Path) -> None:
    with Llama.load(path, backend=built_engine("c").name, threads=1) as other:
        check(lambda: llm.generate("x", session=other.session()), "the session is one of another model")


def test_a_session_is_for_one_thread_at_a_time(llm: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, leave = threading.Event(), threading.Event()
    forward = State.forward

    def held(state: State, rows: int, logit_rows: int) -> Any:
        inside.set()
        leave.wait()
        return forward(state, rows, logit_rows)

    monkeypatch.setattr(State, "forward", held)
    session = llm.session()
    other = threading.Thread(target=session.feed, args=([START],))
    other.start()
    inside.wait()
    for call in (lambda: session.feed([START]), lambda: session.rewind(0), session.close):
        check(call, "the session is used by another thread; a session is for one thread at a time")
    leave.set()
    other.join()
    assert session.ids == (START,)
    session.close()


# types


def test_options_have_the_types_of_their_object() -> None:
    assert get_type_hints(SamplingOptions) == get_type_hints(SamplerOptions)


def test_type_checkers_find_wrong_options(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from pyllama3 import Conversation, Llama\n"
        "llm = Llama.load('m')\n"
        "llm.generate('x', temperature=1, max_tokens=3)\n"
        "llm.generate('x', temprature=1)\n"
        "llm.chat([], temprature=1)\n"
        "Conversation(llm).ask('x', temprature=1)\n"
        "llm.agenerate('x', max_tokens='3')\n"
    )
    out, err, _ = mypy.run(["--no-error-summary", "--hide-error-context", str(program)])
    assert err == ""
    # mypy may remember a file of the same name and content in another directory
    assert re.findall(r"program\.py:(\d+): error: ", out) == ["4", "5", "6", "7"], out
