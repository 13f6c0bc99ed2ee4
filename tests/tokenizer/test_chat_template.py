"""Templates render as Hugging Face's `apply_chat_template` does; tests/data/make_chat_renderings.py is the witness.

To add a case: a conversation in tests/data/make_chat_renderings.py, which writes what Hugging Face makes of it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import Any

import pytest
from chat_templates import load_template
from paths import DATA

from pyllama3.errors import StoreError, TemplateError
from pyllama3.tokenizer.builtin_templates import LLAMA3
from pyllama3.tokenizer.chat_template import ChatTemplate

WITNESS: dict[str, Any] = json.loads((DATA / "chat_renderings.json").read_text("utf-8"))
CONVERSATIONS: dict[str, Any] = WITNESS["conversations"]


def render(source: str, conversation: str) -> str:
    template = ChatTemplate(source, bos=WITNESS["bos"], eos=WITNESS["eos"])
    return template.render(**CONVERSATIONS[conversation], date=datetime.date.fromisoformat(WITNESS["date"]))


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("name", WITNESS["templates"])
def test_renders_as_hugging_face_does(name: str, conversation: str) -> None:
    try:
        source = load_template(name)
    except StoreError as error:
        pytest.skip(f"needs a template: {error}")
    expected = WITNESS["templates"][name]
    assert hashlib.sha256(source.encode()).hexdigest() == expected["sha256"]
    rendering = expected["renderings"][conversation]
    if rendering is None:
        with pytest.raises(TemplateError, match="changes the last message"):
            render(source, conversation)
    else:
        assert render(source, conversation) == rendering


@pytest.mark.parametrize("conversation", [name for name in CONVERSATIONS if "tool" not in name])
def test_the_built_in_template_renders_as_llama_3s(conversation: str) -> None:
    assert render(LLAMA3, conversation) == WITNESS["templates"]["llama-3"]["renderings"][conversation]


def test_arguments_of_calls_may_be_json_as_openai_writes_them() -> None:
    case = json.loads(json.dumps(CONVERSATIONS["tool result"]))
    call = case["messages"][1]["tool_calls"][0]["function"]
    call["arguments"] = json.dumps(call["arguments"])
    source = "{{ messages[1].tool_calls[0].function.arguments.city }}{{ messages[0].content }}"
    template = ChatTemplate(source, bos="", eos="")
    assert template.render(case["messages"]) == "Zürich" + case["messages"][0]["content"]
    call["arguments"] = "not JSON"
    source = "{{ messages[1].tool_calls[0].function.arguments }}"
    assert ChatTemplate(source, bos="", eos="").render(case["messages"]) == "not JSON"
