"""The server as a client of HTTP sees it: forms of answers, streams and refusals.

To add a case: a body with the status, the param and the beginning of the message of its refusal.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import serving
from tiny_models import random_tensors, tiny_config, write_gguf, write_tiny

from pyllama3 import Llama
from pyllama3.server.protocol import CHAT, COMPLETIONS

httpx = pytest.importorskip("httpx", reason="needs pip install httpx")

CONTEXT = 2048
WITHOUT_END = {str(id): -100 for id in range(269, 288)}
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    path = write_tiny(tmp_path_factory.mktemp("random") / "m.gguf", context=CONTEXT, layers=1)
    return Llama.load(path, context=CONTEXT)


@pytest.fixture(scope="module")
def url(llm: Llama) -> Iterator[str]:
    with serving(llm) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Any]:
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def ask(client: Any, path: str, **body: Any) -> Any:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def stream(client: Any, path: str, **body: Any) -> list[Any]:
    """Return the chunks of a stream, having checked its form."""
    with client.stream("POST", path, json={"stream": True, **body}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line and not line.startswith(":")]
    assert lines.pop() == "data: [DONE]"
    assert all(line.startswith("data: {") for line in lines)
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert len({chunk["id"] for chunk in chunks}) == 1
    return chunks


def choices(chunks: list[Any], index: int = 0) -> list[Any]:
    return [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]


@pytest.mark.parametrize("path", [CHAT, CHAT.removeprefix("/v1")])
def test_a_whole_chat(client: Any, llm: Llama, path: str) -> None:
    body = ask(client, path, messages=HELLO, max_completion_tokens=9, seed=3, model="any", logit_bias=WITHOUT_END)
    prompt = llm.encode_chat(HELLO)
    bias = {int(id): value for id, value in WITHOUT_END.items()}
    expected = "".join(piece.text for piece in llm.generate(prompt, max_tokens=9, seed=3, logit_bias=bias))
    assert (body["object"], body["model"]) == ("chat.completion", "tiny")
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": expected}
    assert choice["finish_reason"] == "length"
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (len(prompt), 9)


def test_a_streamed_chat_has_the_whole_text(client: Any) -> None:
    options = {"messages": HELLO, "max_tokens": 40, "seed": 4, "temperature": 1, "logit_bias": WITHOUT_END}
    whole = ask(client, CHAT, **options)
    chunks = stream(client, CHAT, **options)
    first, *middle, last = choices(chunks)
    assert first["delta"] == {"role": "assistant", "content": ""}
    assert (last["delta"], last["finish_reason"]) == ({}, "length")
    assert {choice["finish_reason"] for choice in (first, *middle)} == {None}
    assert all(choice["delta"].keys() == {"content"} and choice["delta"]["content"] for choice in middle)
    assert "".join(choice["delta"]["content"] for choice in middle) == whole["choices"][0]["message"]["content"]
    assert all("usage" not in chunk for chunk in chunks)


def test_a_streamed_completion_has_the_whole_text(client: Any) -> None:
    options = {"prompt": "hello", "max_tokens": 40, "seed": 4, "temperature": 1, "logit_bias": WITHOUT_END}
    whole = ask(client, COMPLETIONS, **options, echo=True)
    chunks = stream(client, COMPLETIONS, **options, echo=True)
    texts = [choice["text"] for choice in choices(chunks)]
    assert "".join(texts) == whole["choices"][0]["text"]
    assert (texts[0], texts[-1]) == (llm_decode(client, "hello"), "")
    assert choices(chunks)[-1]["finish_reason"] == "length"


def llm_decode(client: Any, text: str) -> str:
    """What the tokens of a prompt say, also that which begins it."""
    tokens = ask(client, "/tokenize", content=text, add_special=True)["tokens"]
    return str(ask(client, "/detokenize", tokens=tokens)["content"])


def test_usage_comes_when_it_is_asked_for(client: Any) -> None:
    options = {"messages": HELLO, "max_tokens": 5, "seed": 1, "temperature": 0, "logit_bias": WITHOUT_END}
    *others, last = stream(client, CHAT, **options, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 5
    assert {chunk["usage"] for chunk in others} == {None}


def test_cached_tokens_are_told(llm: Llama) -> None:
    with serving(llm) as url, httpx.Client(base_url=url, timeout=60) as client:
        prompt = list(range(1, 100))
        for expected in (0, 98):
            body = ask(client, COMPLETIONS, prompt=prompt, max_tokens=1)
            assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": expected}


def test_several_texts(client: Any, llm: Llama) -> None:
    prompts = ["hello", "the world"]
    options = {"max_tokens": 12, "seed": 7, "temperature": 1, "logit_bias": WITHOUT_END}
    body = ask(client, COMPLETIONS, prompt=prompts, n=2, **options)
    bias = {int(id): value for id, value in WITHOUT_END.items()}
    expected = [
        "".join(p.text for p in llm.generate(prompt, max_tokens=12, seed=seed, temperature=1, logit_bias=bias))
        for prompt in prompts
        for seed in (7, 8)
    ]
    assert [choice["text"] for choice in body["choices"]] == expected
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert body["usage"]["completion_tokens"] == 48
    assert body["usage"]["prompt_tokens"] == sum(len(llm.encode_prompt(prompt)) for prompt in prompts)
    chunks = stream(client, COMPLETIONS, prompt=prompts, n=2, **options)
    assert ["".join(choice["text"] for choice in choices(chunks, index)) for index in range(4)] == expected


def test_logprobs_of_a_stream(client: Any) -> None:
    options = {"messages": HELLO, "max_tokens": 20, "seed": 4, "logprobs": True, "top_logprobs": 2, "temperature": 1}
    whole = ask(client, CHAT, **options)["choices"][0]
    chunks = choices(stream(client, CHAT, **options))
    entries = [entry for choice in chunks if choice["logprobs"] for entry in choice["logprobs"]["content"]]
    assert entries == whole["logprobs"]["content"]
    data = b"".join(bytes(entry["bytes"]) for entry in entries)
    assert data.decode("utf-8", "replace") == whole["message"]["content"]
    options = {"prompt": "hello", "max_tokens": 20, "seed": 4, "logprobs": 2, "temperature": 1}
    whole = ask(client, COMPLETIONS, **options)["choices"][0]
    chunks = choices(stream(client, COMPLETIONS, **options))
    for name in ("tokens", "text_offset", "token_logprobs"):
        streamed = [entry for choice in chunks if choice["logprobs"] for entry in choice["logprobs"][name]]
        assert streamed == whole["logprobs"][name]


def test_token_ids_are_told(client: Any, llm: Llama) -> None:
    options = {"messages": HELLO, "max_tokens": 8, "seed": 4, "temperature": 1, "return_token_ids": True}
    whole = ask(client, CHAT, **options)["choices"][0]
    assert whole["prompt_token_ids"] == llm.encode_chat(HELLO)
    expected = [piece.id for piece in llm.chat(HELLO, max_tokens=8, seed=4, temperature=1)]
    assert whole["token_ids"] == expected
    first, *others = choices(stream(client, CHAT, **options))
    assert first["prompt_token_ids"] == whole["prompt_token_ids"]
    assert [id for choice in others for id in choice.get("token_ids", [])] == expected


def test_habitual_fields_and_null_are_taken(client: Any) -> None:
    habits = {"user": "me", "store": True, "reasoning_effort": "low", "parallel_tool_calls": True, "n": None}
    habits |= {"metadata": {"a": "b"}, "stop": None, "tools": None, "logprobs": None, "service_tier": "auto"}
    assert ask(client, CHAT, messages=HELLO, max_tokens=1, **habits)["choices"]


def test_models(client: Any) -> None:
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["id"], model["object"]) == ("tiny", "model")
    assert isinstance(model["created"], int)
    assert client.get("/v1/models/tiny").json() == model
    missing = client.get("/v1/models/gpt-4o")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_tokens_and_templates(client: Any, llm: Llama) -> None:
    assert ask(client, "/tokenize", content="hello<|eot_id|>")["tokens"] == llm.tokenizer.encode(
        "hello<|eot_id|>", special=True
    )
    body = ask(client, "/apply-template", messages=HELLO)
    assert body["tokens"] == llm.encode_chat(HELLO)
    assert ask(client, "/detokenize", tokens=body["tokens"])["content"] == body["prompt"]


def test_an_answer_that_goes_on(client: Any, llm: Llama) -> None:
    messages = [*HELLO, {"role": "assistant", "content": "hel"}]
    options = {"continue_final_message": True, "add_generation_prompt": False}
    ids = llm.encode_chat(messages, continue_final_message=True)
    assert ask(client, "/apply-template", messages=messages, **options)["tokens"] == ids
    answer = ask(client, "/v1/chat/completions", messages=messages, max_tokens=5, temperature=0, **options)
    expected = "".join(piece.text for piece in llm.generate(ids, max_tokens=5, temperature=0))
    assert answer["choices"][0]["message"]["content"] == expected
    both = client.post("/apply-template", json={"messages": messages, **options, "add_generation_prompt": True})
    assert (both.status_code, both.json()["error"]["param"]) == (400, "continue_final_message")


def test_counters(client: Any) -> None:
    def counted(name: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(name + " ")))

    before = counted("pyllama3_generated_tokens_total")
    ask(client, COMPLETIONS, prompt="hello", max_tokens=7, logit_bias=WITHOUT_END)
    assert counted("pyllama3_generated_tokens_total") == before + 7
    assert counted("pyllama3_texts_running") == 0


@pytest.mark.parametrize(
    ("path", "body", "param", "message"),
    [
        (CHAT, {}, "messages", "messages is missing; an array is expected"),
        (CHAT, {"messages": "hi"}, "messages", "messages is 'hi'; an array is expected"),
        (CHAT, {"messages": []}, None, "there are no messages"),
        (CHAT, {"messages": HELLO, "temperatur": 1}, "temperatur", "unsupported field: temperatur"),
        (CHAT, {"messages": HELLO, "temperature": "hot"}, "temperature", "temperature is 'hot'; a number is expected"),
        (CHAT, {"messages": HELLO, "temperature": -1}, None, "temperature is -1; allowed: 0 or more"),
        (CHAT, {"messages": HELLO, "n": 0}, "n", "n is 0"),
        (CHAT, {"messages": HELLO, "n": 1000}, "n", "n is 1000"),
        (CHAT, {"messages": HELLO, "stream": "yes"}, "stream", "stream is 'yes'; true or false is expected"),
        (CHAT, {"messages": HELLO, "top_logprobs": 3}, "top_logprobs", "top_logprobs is 3, but logprobs is not true"),
        (CHAT, {"messages": HELLO, "stream_options": {"x": 1}}, "stream_options", "unsupported field of stream_opt"),
        (CHAT, {"messages": HELLO, "stop": [""]}, None, "a stop string is empty"),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, None, "message 1 has a part of"),
        (COMPLETIONS, {"prompt": []}, "prompt", "prompt is to be"),
        (COMPLETIONS, {"prompt": {"a": 1}}, "prompt", "prompt is to be"),
        (COMPLETIONS, {"prompt": "a", "suffix": "b"}, "suffix", "suffix is 'b'; supported: ''"),
        (COMPLETIONS, {"prompt": "a", "best_of": 4}, "best_of", "best_of is 4; supported: 1"),
        (COMPLETIONS, {"prompt": "a", "echo": True, "logprobs": 1}, "logprobs", "logprobs with echo are not supported"),
        ("/tokenize", {"content": 1}, "content", "content is 1; a string is expected"),
        ("/detokenize", {"tokens": [1.5]}, "tokens", "tokens is to be an array of token ids"),
        ("/detokenize", {"tokens": [10**9]}, None, "there is no token 1000000000"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_requests_that_are_refused(
    client: Any, path: str, body: dict[str, Any], param: str | None, message: str, is_stream: bool
) -> None:
    stream = {"stream": True} if is_stream and path in (CHAT, COMPLETIONS) and "stream" not in body else {}
    response = client.post(path, json={**body, **stream})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"].startswith(message)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, None)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_prompt_that_does_not_fit(client: Any, is_stream: bool) -> None:
    for body, numbers in (({"prompt": [1] * 3000}, ("3000", "2048")), ({"prompt": [1], "max_tokens": 2048}, ("2048",))):
        response = client.post(COMPLETIONS, json={"stream": is_stream, **body})
        assert response.status_code == 400
        error = response.json()["error"]
        assert error["code"] == "context_length_exceeded"
        assert all(number in error["message"] for number in numbers)


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 400, "the body is not JSON: "),
        (b"{", 400, "the body is not JSON: "),
        (b"\xff\xfe{}", 400, "the body is not JSON: "),
        (b'{"temperature": NaN}', 400, "the body is not JSON: has NaN, which is no number in JSON"),
        (b"[" * 100_000, 400, "the body is not JSON: is nested too deeply"),
        (b'{"seed": ' + b"9" * 5000 + b"}", 400, "the body is not JSON: has an integer of 5000 digits"),
        (b"[]", 400, "the body is not a JSON object"),
        (b" " * (10 << 20), 413, "the body has more than 8388608 bytes"),
    ],
    ids=lambda value: repr(value)[:20],
)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_bodies_that_are_refused(client: Any, content: bytes, status: int, message: str, is_chunked: bool) -> None:
    parts = (content[at : at + 65536] for at in range(0, len(content), 65536)) if is_chunked else content
    try:
        response = client.post(CHAT, content=parts)
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        assert status == 413  # the connection may be closed before all has been sent
        return
    assert response.status_code == status
    assert response.json()["error"]["message"].startswith(message)


def test_paths_and_methods_that_are_refused(client: Any) -> None:
    response = client.post("/v1/embeddings", json={})
    assert response.status_code == 404
    assert response.json()["error"]["message"].startswith("/v1/embeddings: there is no such endpoint")
    response = client.get(CHAT)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_who_sends_slowly_holds_nobody_up(client: Any, url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(20)]
    for number, one in enumerate(slow):
        one.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"[: 10 + 2 * number])
    assert ask(client, COMPLETIONS, prompt="hello", max_tokens=3)
    for one in slow:
        one.close()


def test_before_the_model_is_loaded() -> None:
    with serving(None) as url:
        for path in ("/health", "/v1/models"):
            response = httpx.get(url + path)
            assert response.status_code == 503
            assert response.json()["error"]["message"] == "the model is being loaded"
            assert response.headers["retry-after"] == "1"


def test_numbers_that_are_not_finite_end_with_an_error(tmp_path: Path) -> None:
    config = tiny_config(context=128, layers=1)
    tensors = random_tensors(config, 1)
    tensors["token_embd.weight"][77] = float("nan")
    write_gguf(tmp_path / "m.gguf", config, tensors)
    with serving(Llama.load(tmp_path / "m.gguf")) as url, httpx.Client(base_url=url, timeout=60) as client:
        response = client.post(COMPLETIONS, json={"prompt": [1, 77], "max_tokens": 3})
        assert (response.status_code, response.json()["error"]["type"]) == (500, "server_error")
        text = client.post(COMPLETIONS, json={"prompt": [1, 77], "max_tokens": 3, "stream": True}).text
        assert "logits are not finite numbers" in text
        assert "[DONE]" not in text
        assert ask(client, COMPLETIONS, prompt=[1, 2], max_tokens=3)


def test_a_fault_of_ours_is_told_without_the_prompt(
    client: Any, llm: Llama, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(llm, "encode_chat", lambda *_, **__: {}["secret"])
    response = client.post(CHAT, json={"messages": HELLO})
    assert (response.status_code, response.json()["error"]["type"]) == (500, "server_error")
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text
