"""Odd arguments for all that is public: each call works or ends with an error of ours, whatever it is given.

The witness is the error's type. Calls are tried with one odd argument each, and with several drawn at random. To add a
case: an odd value, or a row of `calls` with good arguments.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engines import built_engine
from scripted import START, script, write_scripted

from pyllama3 import Conversation, Llama, PyLlama3Error, SamplerOptions, json_schema, regex
from pyllama3.conversation import read_messages
from pyllama3.generation.prompt_cache import load_prompt, save_prompt
from pyllama3.server.batch import run_batch
from pyllama3.tokenizer.tokenizer import Tokenizer

RANDOM_CALLS = 200
NESTED: list[Any] = []
NESTED.append(NESTED)
ODD: dict[str, Callable[[], Any]] = {
    **{
        repr(value)[:40]: lambda value=value: value  # type: ignore[misc]
        for value in (
            *(None, True, 0, 1, -1, 3, 1.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"), -float("inf")),
            *(2**31, 2**63, 2**64, 1j, Decimal("0.5"), Fraction(1, 3), Ellipsis),
            *("", "0", "x", "\0", "\ud800", "\x1b[2J\n", "hello" * 1000, b"x", b"\xff", Path("x")),
            *((), (1,), [], [None], ["x"], [""], [1], [-1], [1.5], [10**400], [True], [[1]], [b"x"], [{}]),
            *({}, {1: 1}, {"x": "y"}, {"hello": 1}, {None: 0}, {1: None}, {1: float("nan")}, {2**70: 0}, {1.5: 1}),
            *({"type": "object"}, {"type": []}, {"content": 1}, {1: 10**400}, set(), {1}, range(3), bytearray(b"x")),
            *(np.float32(0.5), np.float64("nan"), np.int64(3), np.uint8(1), np.bool_(True), np.str_("x")),
            *(datetime.date(1, 1, 1), datetime.datetime.max, [{"role": "user", "content": "hi"}], [("x", 1)]),
        )
    },
    "10**400": lambda: 10**400,
    "-(10**400)": lambda: -(10**400),
    "10**5000": lambda: 10**5000,
    "object": object,
    "iterator": lambda: iter([1]),
    "generator": lambda: (n for n in (1, 2)),
    "itself": lambda: NESTED,
    "deep": lambda: {"a": _deep(3000)},
    "array()": lambda: np.array(1),
    "array(1.5)": lambda: np.array(1.5),
    "array(0)": lambda: np.array([], np.int64),
    "array(2)": lambda: np.array([1, 2]),
    "array(1, 1)": lambda: np.array([[1]]),
    "floats": lambda: np.array([1.5]),
    "texts": lambda: np.array(["a"]),
    "objects": lambda: np.array([None, {}]),
}


def _deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def calls(path: Path, folder: Path) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Return what is called with which good arguments; results are gone through."""
    llm = Llama.load(path, backend="c", threads=1)
    other = Llama.load(path, backend="c", threads=1)
    grammar = regex("[ab]{3}")
    sampler: dict[str, Any] = {
        "temperature": 0.5,
        "top_k": 2,
        "top_p": 0.5,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
        "repeat_last_n": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "logit_bias": {7: 1.5, "hello": 1},
        "seed": 1,
    }
    options = {**sampler, "max_tokens": 3, "stop": ["x"], "top_logprobs": 2, "grammar": None}
    more = {"lookup": 0, "draft": None, "draft_tokens": 4, "session": None}
    messages = [{"role": "user", "content": "hello"}]
    chat = {"messages": messages, "tools": None, "date": datetime.date(2026, 1, 1)}
    held = llm.session()
    held.feed([1, 2, 3])
    (folder / "in.jsonl").write_text('{"custom_id": "a", "url": "/v1/completions", "body": {"prompt": [1]}}\n')
    save_prompt(folder / "prompt", held, 3)
    Conversation(llm, system="x").save(folder / "talk.json")

    def on_session(method: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            with llm.session() as session:
                session.feed([1, 2, 3])
                return getattr(session, method)(**arguments)

        return call

    def scheduled(sequences: Any, **arguments: Any) -> Any:
        scheduler = llm.scheduler(sequences)
        generation = llm.generation(**arguments)
        scheduler.add(generation)
        while scheduler.running:
            scheduler.step()

    def batch(**arguments: Any) -> Any:
        (folder / "out.jsonl").unlink(missing_ok=True)
        run_batch(llm, **arguments)

    return {
        "load": (
            _loaded,
            {"model": path, "backend": "c", "threads": 1, "context": 64, "precision": "exact"}
            | {"cache_type": "f16", "chat_template": "{{ messages }}", "lora": [], "progress": None},
        ),
        "encode_prompt": (llm.encode_prompt, {"text": "hello", "special": True}),
        "encode_chat": (llm.encode_chat, chat),
        "generate": (llm.generate, {"prompt": [START], **options, **more}),
        "generate lookup": (llm.generate, {"prompt": "hello", "lookup": 2, "temperature": 0}),
        "generate draft": (llm.generate, {"prompt": "hello", "draft": other, "draft_tokens": 2, "temperature": 0}),
        "generate grammar": (llm.generate, {"prompt": "hello", "grammar": grammar, "logit_bias": {}}),
        "chat": (llm.chat, {**chat, **options}),
        "generation": (llm.generation, {"prompt": [START], **options}),
        "constraint": (llm.constraint, {"grammar": grammar}),
        "scheduler": (scheduled, {"sequences": 2, "prompt": [START], "max_tokens": 3}),
        "SamplerOptions": (SamplerOptions, sampler),
        "json_schema": (json_schema, {"schema": {"type": "string"}}),
        "regex": (regex, {"pattern": "[ab]"}),
        "Conversation": (Conversation, {"llm": llm, "system": "x"}),
        "Conversation.ask": (Conversation(llm).ask, {"text": "hello", **options}),
        "Conversation.save": (Conversation(llm).save, {"path": folder / "saved.json"}),
        "Conversation.load": (Conversation(llm).load, {"path": folder / "talk.json"}),
        "read_messages": (read_messages, {"path": folder / "talk.json"}),
        "feed": (on_session("feed"), {"ids": [1, 2], "all_logits": True}),
        "check": (on_session("check"), {"ids": [1, 2]}),
        "rewind": (on_session("rewind"), {"position": 1}),
        "reuse": (on_session("reuse"), {"ids": [1, 2, 7]}),
        "encode": (llm.tokenizer.encode, {"text": "hello", "special": True, "continues": True}),
        "decode": (llm.tokenizer.decode, {"ids": [1, 2]}),
        "token_bytes": (llm.tokenizer.token_bytes, {"id": 1}),
        "token_name": (llm.tokenizer.token_name, {"id": 1}),
        "is_special": (llm.tokenizer.is_special, {"id": 1}),
        "has_tokens_of": (llm.tokenizer.has_tokens_of, {"other": other.tokenizer}),
        "from_tokenizer_model": (Tokenizer.from_tokenizer_model, {"path": folder / "none"}),
        "save_prompt": (save_prompt, {"path": folder / "saved", "session": held, "count": 2}),
        "load_prompt": (load_prompt, {"path": folder / "prompt", "session": llm.session()}),
        "run_batch": (
            batch,
            {"source": folder / "in.jsonl", "target": folder / "out.jsonl", "parallel": 2}
            | {"defaults": {"temperature": 0}, "progress": lambda _: None},
        ),
    }


def _loaded(**arguments: Any) -> None:
    with Llama.load(**arguments) as llm:
        for _ in llm.chat([{"role": "user", "content": "hello"}], max_tokens=2):
            pass


def fault(function: Callable[..., Any], arguments: dict[str, Any]) -> str:
    """Return what is wrong with how a call ends, "" if nothing is."""
    try:
        result = function(**arguments)
        if isinstance(result, Iterator):
            for _ in result:
                pass
    except PyLlama3Error as error:
        return "" if len(str(error).splitlines()) == 1 else f"not one line: {str(error)!r:.200}"
    except Exception as error:
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
        return f"{type(error).__name__}: {str(error)[:100]} at {place}"
    return ""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    built_engine("c")
    folder = tmp_path_factory.mktemp("arguments")
    path = write_scripted(folder / "m.gguf", script("hello", " world", "<|eot_id|>"), context=128)
    return calls(path, folder)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the odd values are names of files that can be written."""
    monkeypatch.chdir(tmp_path)


def test_one_odd_argument(table: dict[str, tuple[Callable[..., Any], dict[str, Any]]]) -> None:
    faults = []
    for name, (function, arguments) in table.items():
        assert not fault(function, arguments) or name == "from_tokenizer_model"
        for argument in arguments:
            for odd, make in ODD.items():
                if found := fault(function, {**arguments, argument: make()}):
                    faults.append(f"{name}({argument}={odd}): {found}")
    assert not faults, "\n".join([f"{len(faults)} faults", *faults])


def test_several_odd_arguments(table: dict[str, tuple[Callable[..., Any], dict[str, Any]]]) -> None:
    rng = random.Random(1)
    faults = []
    for _ in range(RANDOM_CALLS):
        name, (function, arguments) = rng.choice(list(table.items()))
        chosen = {argument: rng.choice(list(ODD)) for argument in arguments if rng.random() < 0.3}
        if found := fault(function, {**arguments, **{argument: ODD[odd]() for argument, odd in chosen.items()}}):
            faults.append(f"{name}({chosen}): {found}")
    assert not faults, "\n".join(faults)
