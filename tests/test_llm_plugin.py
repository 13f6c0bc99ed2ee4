"""The plugin in the real `llm` package, which finds it by the entry point of the installed package.

The witness is `Llama` itself. To add a case: an option, or a form of prompt.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import llm
import numpy as np
import pytest
from engines import built_engine
from scripted import script, write_scripted

from pyllama3 import Llama, llm_plugin

OPTIONS: dict[str, Any] = {"temperature": 1.5, "seed": 3, "max_tokens": 6}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    built_engine("c")
    words = script("hello", " world", "é", "<|eot_id|>")
    yield str(write_scripted(tmp_path_factory.mktemp("llm") / "m.gguf", words, context=256))
    llm_plugin.load.cache_clear()


def expected(path: str, *said: str, system: str | None = None) -> str:
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]
    with Llama.load(path) as model:
        return "".join(piece.text for piece in model.chat(messages, **OPTIONS))


def test_a_conversation(path: str) -> None:
    conversation = llm.get_model("pyllama3").conversation()
    first = conversation.prompt("hi", system="Be brief.", model=path, **OPTIONS)
    assert first.text() == expected(path, "hi", system="Be brief.")
    second = conversation.prompt("And then?", model=path, **OPTIONS)
    assert second.text() == expected(path, "hi", first.text(), "And then?", system="Be brief.")
    assert second.usage().output == 4  # three, and the one that stops
    with Llama.load(path) as model:
        said = [("system", "Be brief."), ("user", "hi"), ("assistant", first.text()), ("user", "And then?")]
        ids = model.encode_chat([{"role": role, "content": content} for role, content in said])
    assert second.usage().input == len(ids)


def test_asyncio_says_the_same(path: str) -> None:
    async def ask() -> str:
        text: str = await llm.get_async_model("pyllama3").prompt("hi", model=path, **OPTIONS).text()
        return text

    assert asyncio.run(ask()) == expected(path, "hi")


def test_a_schema_is_kept(path: str) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    response = llm.get_model("pyllama3").prompt("hi", model=path, schema=schema, seed=1)
    assert json.loads(response.text()).keys() == {"ok"}


def test_errors_are_those_of_llm() -> None:
    with pytest.raises(llm.ModelError, match="no-such-model"):
        llm.get_model("pyllama3").prompt("hi", model="no-such-model").text()


def test_vectors_are_those_of_embed(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm_plugin, "DEFAULT_MODEL", path)
    vectors = llm.get_embedding_model("pyllama3").embed_multi(["hello", "world"])
    with Llama.load(path) as model:
        np.testing.assert_array_equal(list(vectors), model.embed(["hello", "world"]))
