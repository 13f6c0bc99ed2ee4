"""Many clients at once: each gets the answer that it would get alone, and who leaves leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from servers import serving
from tiny_models import write_tiny

from pyllama3 import Llama
from pyllama3.server.http import events
from pyllama3.server.protocol import CHAT, COMPLETIONS

httpx = pytest.importorskip("httpx", reason="needs pip install httpx")

LONGEST = 65536
CLIENTS = 32
WITHOUT_END = dict.fromkeys(range(269, 288), -100)
QUESTIONS = ["hello", "the world", "hello world, hello the world", "é" * 40, "the " * 60, "held", "a", "wor" * 30]


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    path = write_tiny(tmp_path_factory.mktemp("random") / "m.gguf", context=LONGEST, layers=1)
    return Llama.load(path, context=LONGEST)


def options(number: int) -> dict[str, Any]:
    """What client NUMBER asks for."""
    return {"max_tokens": 20 + 7 * number % 40, "seed": number, "temperature": number % 3 * 0.7}


def messages(number: int) -> list[dict[str, str]]:
    system = {"role": "system", "content": "the world " * 20}
    return [system, {"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}]


def text_of(chunks: str) -> str:
    lines = [line for line in chunks.split("\n\n") if line.startswith("data: {")]
    assert chunks.endswith("data: [DONE]\n\n")
    return "".join(json.loads(line[6:])["choices"][0]["delta"].get("content", "") for line in lines)


def test_each_answer_is_that_of_a_single_run(llm: Llama) -> None:
    async def ask(client: Any, number: int) -> str:
        body = {"messages": messages(number), **options(number), "logit_bias": WITHOUT_END}
        is_stream = number % 2 == 0
        response = await client.post(CHAT, json={**body, "stream": is_stream})
        return text_of(response.text) if is_stream else response.json()["choices"][0]["message"]["content"]

    async def ask_all(url: str) -> list[str]:
        async with httpx.AsyncClient(base_url=url, timeout=600, limits=httpx.Limits(max_connections=CLIENTS)) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(CLIENTS)))

    with serving(llm, parallel=8) as url:
        answers = asyncio.run(ask_all(url))
    for number, answer in enumerate(answers):
        pieces = llm.chat(messages(number), **options(number), logit_bias=WITHOUT_END)
        assert answer == "".join(piece.text for piece in pieces)


@contextmanager
def endless(client: Any, **body: Any) -> Iterator[Iterator[str]]:
    """The lines of a stream that ends only when its client leaves."""
    request = {"prompt": "hello", "stream": True, "logit_bias": WITHOUT_END, **body}
    with client.stream("POST", COMPLETIONS, json=request) as response:
        yield response.iter_lines()


def wait_for(client: Any, **expected: int) -> None:
    """Wait until so many texts are running and waiting."""
    while client.get("/health").json() != {"status": "ok", **expected}:
        pass


@pytest.mark.parametrize("phase", ["queue", "prompt", "answer", "whole"])
def test_a_client_that_leaves_frees_its_place(llm: Llama, phase: str) -> None:
    with serving(llm, parallel=1) as url, httpx.Client(base_url=url, timeout=60) as client:

        def serves_others() -> bool:
            body = {"prompt": "a", "max_tokens": 2, "logit_bias": WITHOUT_END}
            return bool(client.post(COMPLETIONS, json=body).json()["choices"])

        if phase == "queue":
            with endless(client) as lines:
                next(lines)
                with endless(client):
                    wait_for(client, running=1, waiting=1)
        elif phase == "prompt":
            with endless(client, prompt=[1] * (LONGEST - 1)):
                wait_for(client, running=1, waiting=0)
        elif phase == "answer":
            with endless(client) as lines:
                next(lines)
        else:
            body = {"prompt": "hello", "logit_bias": WITHOUT_END}
            with pytest.raises(httpx.ReadTimeout):
                client.post(COMPLETIONS, json=body, timeout=0.3)
        assert serves_others()
        wait_for(client, running=0, waiting=0)


def test_a_silent_stream_has_pings(llm: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PING_SECONDS", 0.01)
    with serving(llm, parallel=1) as url, httpx.Client(base_url=url, timeout=60) as client, endless(client) as first:
        next(first)
        with endless(client) as waiting:
            assert next(waiting) == ": ping"


def test_too_many_clients_are_told_to_come_again(llm: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyllama3.server.worker.MOST_WAITING", 2)
    with serving(llm, parallel=1) as url, httpx.Client(base_url=url, timeout=60) as client, endless(client) as first:
        next(first)
        response = client.post(COMPLETIONS, json={"prompt": "a", "n": 3})
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        wait_for(client, running=1, waiting=0)


def test_a_stream_that_is_ended_by_the_server_says_so(llm: Llama) -> None:
    with httpx.Client(timeout=60) as client:
        with serving(llm, parallel=1) as url:
            body = {"prompt": "a", "stream": True, "logit_bias": WITHOUT_END}
            stream = client.stream("POST", url + COMPLETIONS, json=body)
            response = stream.__enter__()
            lines = response.iter_lines()
            next(lines)
        assert '"server_error"' in [line for line in lines if line][-1]
        stream.__exit__(None, None, None)
