"""The clients that people use, with nothing but a base URL."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import serving
from tiny_models import write_tiny

from pyllama3 import Llama

openai = pytest.importorskip("openai", reason="needs pip install openai")
pydantic = pytest.importorskip("pydantic", reason="needs pip install openai")

HELLO = [{"role": "user", "content": "hello"}]
WITHOUT_END = {str(id): -100 for id in range(269, 288)}
OPTIONS = {"messages": HELLO, "max_tokens": 30, "seed": 5, "temperature": 1, "logit_bias": WITHOUT_END}


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    return Llama.load(write_tiny(tmp_path_factory.mktemp("random") / "m.gguf", context=2048, layers=1))


@pytest.fixture(scope="module")
def url(llm: Llama) -> Iterator[str]:
    with serving(llm) as url:
        yield f"{url}/v1"


@pytest.fixture(scope="module")
def expected(llm: Llama) -> str:
    """The text of the answer to OPTIONS, computed alone."""
    bias = {int(id): value for id, value in WITHOUT_END.items()}
    pieces = llm.chat(HELLO, max_tokens=30, seed=5, temperature=1, logit_bias=bias)
    return "".join(piece.text for piece in pieces)


def test_openai(url: str, expected: str) -> None:
    with openai.OpenAI(base_url=url, api_key="none") as client:
        answer = client.chat.completions.create(model="gpt-4o-mini", **OPTIONS)
        assert answer.choices[0].message.content == expected
        assert answer.usage.completion_tokens == 30
        stream = client.chat.completions.create(
            model="gpt-4o-mini", **OPTIONS, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
        assert "".join(texts) == expected
        assert chunks[-1].usage.completion_tokens == 30
        completion = client.completions.create(model="m", prompt="hello", max_tokens=3, logprobs=2)
        assert len(completion.choices[0].logprobs.tokens) <= 3
        assert [model.id for model in client.models.list()] == ["tiny"]
        assert client.models.retrieve("tiny").owned_by == "pyllama3"


def test_openai_responses(url: str, expected: str) -> None:
    options = {"input": "hello", "max_output_tokens": 30, "temperature": 1}
    extra = {"seed": 5, "logit_bias": WITHOUT_END}
    with openai.OpenAI(base_url=url, api_key="none") as client:
        answer = client.responses.create(model="m", **options, extra_body=extra)
        assert answer.output_text == expected
        assert (answer.status, answer.usage.output_tokens) == ("incomplete", 30)
        with client.responses.stream(model="m", **options, extra_body=extra) as stream:
            events = list(stream)
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(deltas) == expected
        assert events[-1].type == "response.incomplete"
        assert events[-1].response.output_text == expected
        assert [event.sequence_number for event in events] == list(range(len(events)))
        parts = [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]
        again = client.responses.create(model="m", **{**options, "input": parts}, extra_body=extra)
        assert again.output_text == expected
        with pytest.raises(openai.BadRequestError, match="previous_response_id"):
            client.responses.create(model="m", input="a", previous_response_id="resp_1")
        with pytest.raises(openai.BadRequestError, match="tools is"):
            client.responses.create(model="m", input="a", tools=[{"type": "web_search"}])


def test_openai_async(url: str, expected: str) -> None:
    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:

            async def one() -> str:
                stream = await client.chat.completions.create(model="m", **OPTIONS, stream=True)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            return await asyncio.gather(*(one() for _ in range(8)))

    assert asyncio.run(ask()) == [expected] * 8


def test_openai_parses_answers(url: str) -> None:
    pytest.importorskip("llguidance", reason="needs pip install 'pyllama3[constrained]'")

    class Answer(pydantic.BaseModel):
        yes: bool
        grade: int = pydantic.Field(ge=0, le=9)

    with openai.OpenAI(base_url=url, api_key="none") as client:
        for seed in range(3):
            answer = client.chat.completions.parse(model="m", messages=HELLO, response_format=Answer, seed=seed)
            assert isinstance(answer.choices[0].message.parsed, Answer)
        response = client.responses.parse(model="m", input="hello", text_format=Answer)
        assert isinstance(response.output_parsed, Answer)
        body = client.chat.completions.create(
            model="m", messages=HELLO, response_format={"type": "json_object"}, max_tokens=2, seed=1
        )
        assert body.choices[0].message.content.startswith("{")


def test_openai_calls_functions(url: str) -> None:
    pytest.importorskip("llguidance", reason="needs pip install 'pyllama3[constrained]'")

    class Weather(pydantic.BaseModel):
        """Tell the weather."""

        days: int = pydantic.Field(ge=1, le=7)

    tool = openai.pydantic_function_tool(Weather)
    with openai.OpenAI(base_url=url, api_key="none") as client:
        answer = client.chat.completions.parse(model="m", messages=HELLO, tools=[tool], tool_choice="required", seed=3)
        (call,) = answer.choices[0].message.tool_calls
        assert 1 <= call.function.parsed_arguments.days <= 7
        with client.chat.completions.stream(
            model="m", messages=HELLO, tools=[tool], tool_choice="required", seed=3
        ) as stream:
            for _ in stream:
                pass
            (streamed,) = stream.get_final_completion().choices[0].message.tool_calls
        assert streamed.function.arguments == call.function.arguments
        following = [
            *HELLO,
            answer.choices[0].message,
            {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        ]
        assert client.chat.completions.create(model="m", messages=following, tools=[tool], max_tokens=1)


def test_openai_is_told_what_is_wrong(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            client.completions.create(model="m", prompt=[1] * 3000, stream=True)
        assert caught.value.code == "context_length_exceeded"
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="m", input="hello")


def test_langchain(url: str, expected: str) -> None:
    langchain = pytest.importorskip("langchain_openai", reason="needs pip install langchain-openai")
    chat = langchain.ChatOpenAI(
        base_url=url, api_key="none", model="m", seed=5, temperature=1, max_tokens=30, logit_bias=WITHOUT_END
    )
    assert chat.invoke("hello").content == expected
    assert "".join(chunk.content for chunk in chat.stream("hello")) == expected


def test_llm(url: str, tmp_path: Path) -> None:
    """The command line `llm`, to which models are told in a file."""
    pytest.importorskip("llm", reason="needs pip install llm")
    model = f"- model_id: tiny\n  model_name: tiny\n  api_base: {url}\n"
    (tmp_path / "extra-openai-models.yaml").write_text(model)
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "none"}
    command = [sys.executable, "-m", "llm", "-m", "tiny", "hello", "-o", "max_tokens", "5", "-o", "seed", "1"]
    for more in ([], ["--no-stream"]):
        done = subprocess.run([*command, *more], env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout
