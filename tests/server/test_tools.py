"""Calls of functions: found in what models of each family write, however it is cut into pieces, and forced.

To add a form: a text with what it has to become, in CASES.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from chat_templates import META, load_template
from servers import serving
from tiny_models import write_tiny

from pyllama3 import Llama
from pyllama3.errors import OptionError, StoreError
from pyllama3.generation.constraint import function_call
from pyllama3.server.protocol import CHAT
from pyllama3.server.tools.calls import Call
from pyllama3.server.tools.reader import CallReader
from pyllama3.server.tools.telling import arguments_name, knows_tools, told
from pyllama3.tokenizer.chat_template import ChatTemplate

httpx = pytest.importorskip("httpx", reason="needs pip install httpx")

PARIS, ROME = {"city": "Paris"}, {"city": "Rome"}
NAMES = ("weather", "add", "python")
W_PARIS, W_ROME = ("weather", PARIS), ("weather", ROME)
CASES: list[tuple[str, list[Any]]] = [
    # Llama 3.1
    ('{"name": "weather", "parameters": {"city": "Paris"}}', [W_PARIS]),
    ('\n{"type": "function", "name": "weather", "parameters": {"city": "Paris"}}\n', [W_PARIS]),
    (
        '{"name": "weather", "parameters": {"city": "Paris"}}; {"name": "weather", "parameters": {"city": "Rome"}}',
        [W_PARIS, W_ROME],
    ),
    ('<|python_tag|>{"name": "weather", "parameters": {"city": "Paris"}}', [W_PARIS]),
    ('<|python_tag|>weather.call(city="Paris")', [W_PARIS]),
    ("<|python_tag|>import math\nprint(math.pi)", [("python", {"code": "import math\nprint(math.pi)"})]),
    ('Let me see.\n<|python_tag|>weather.call(city="Paris")', ["Let me see.", W_PARIS]),
    # Llama 3.2
    ("[weather(city='Paris')]", [W_PARIS]),
    (
        "[weather(city='Paris'), add(a=-1, b=2.5, c=[1, {'d': None}], e=true)]",
        [W_PARIS, ("add", {"a": -1, "b": 2.5, "c": [1, {"d": None}], "e": True})],
    ),
    # Hermes
    ('<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>', [W_PARIS]),
    (
        'Two calls:\n<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>\n'
        '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>',
        ["Two calls:", W_PARIS, W_ROME],
    ),
    ('<tool_call>{"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}</tool_call> so', [W_PARIS, " so"]),
    ('<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}', [W_PARIS]),
    # OpenAI's own form, and none
    ('[{"type": "function", "function": {"name": "weather", "arguments": {"city": "Paris"}}}]', [W_PARIS]),
    ('{"name": "add"}', [("add", {})]),
    # no calls
    ("", []),
    (" \n", [" \n"]),
    ("Hello, world.\n", ["Hello, world.\n"]),
    ("a < b and <tool", ["a < b and <tool"]),
    ('{"city": "Paris"}', ['{"city": "Paris"}']),
    ('{"name": "weather", "parameters": {"city": ', ['{"name": "weather", "parameters": {"city": ']),
    ('{"name": "unknown", "parameters": {}}', ['{"name": "unknown", "parameters": {}}']),
    ('{"name": "weather", "parameters": [1]}', ['{"name": "weather", "parameters": [1]}']),
    ("[1, 2, 3]", ["[1, 2, 3]"]),
    ("[weather(city=open('/etc/passwd').read())]", ["[weather(city=open('/etc/passwd').read())]"]),
    ("[weather('Paris')]", ["[weather('Paris')]"]),
    ("[weather](https://example.com)", ["[weather](https://example.com)"]),
    ("<tool_call>broken</tool_call>", ["<tool_call>broken</tool_call>"]),
    ('Call {"name": "weather", "parameters": {}}', ['Call {"name": "weather", "parameters": {}}']),
    ("[" * 9999, ["[" * 9999]),
    ('{"name": "weather", "parameters": ' + '{"a":' * 999, ['{"name": "weather", "parameters": ' + '{"a":' * 999]),
]


def read(pieces: list[str], **options: Any) -> list[Any]:
    """Return texts, joined where they are neighbours, and calls."""
    reader = CallReader(NAMES, **options)
    found: list[Any] = []
    for item in [*(item for piece in pieces for item in reader.feed(piece)), *reader.flush()]:
        if isinstance(item, Call):
            found.append((item.name, json.loads(item.arguments)))
        elif found and isinstance(found[-1], str):
            found[-1] += item
        else:
            found.append(item)
    assert reader.found == sum(isinstance(item, tuple) for item in found)
    return found


@pytest.mark.parametrize(("text", "expected"), CASES, ids=lambda value: repr(value)[:40])
def test_calls_in_texts(text: str, expected: list[Any]) -> None:
    assert read([text]) == expected
    for size in (1, 2, 7):
        assert read([text[at : at + size] for at in range(0, len(text), size)]) == expected


def test_text_is_not_held_up() -> None:
    reader = CallReader(NAMES)
    assert reader.feed("Hello, ") == ["Hello,"]
    assert reader.feed("wor") == [" wor"]
    assert reader.feed("ld <tool") == ["ld"]
    assert reader.feed("box>") == [" <toolbox>"]


def test_one_call_at_most() -> None:
    text = "[weather(city='Paris'), weather(city='Rome')]"
    assert read([text], several=False) == [W_PARIS]
    tags = '<tool_call>{"name": "add"}</tool_call>'
    assert read([tags, tags], several=False) == [("add", {})]


def function(name: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


TOOLS = [
    function("weather", city={"enum": ["Paris", "Rome"]}),
    function("add", a={"type": "integer"}, b={"$ref": "#/$defs/digit"}),
]
TOOLS[1]["function"]["parameters"]["$defs"] = {"digit": {"enum": [1, 2, 3]}}
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    pytest.importorskip("llguidance", reason="needs pip install 'pyllama3[constrained]'")
    return Llama.load(write_tiny(tmp_path_factory.mktemp("random") / "m.gguf", context=2048, layers=1))


@pytest.fixture(scope="module")
def client(llm: Llama) -> Iterator[Any]:
    with serving(llm) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def check(name: str, arguments: str) -> None:
    """Check that a call, which a random model has made, fits its schema."""
    values = json.loads(arguments)
    if name == "weather":
        assert values in (PARIS, ROME)
    else:
        assert name == "add"
        assert values.keys() == {"a", "b"}
        assert isinstance(values["a"], int)
        assert values["b"] in (1, 2, 3)


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "add"}}], ids=["required", "named"]
)
@pytest.mark.parametrize("seed", range(4))
def test_forced_calls_of_any_model_are_valid(client: Any, choice: Any, seed: int) -> None:
    body = {"messages": HELLO, "tools": TOOLS, "tool_choice": choice, "seed": seed, "temperature": 2}
    (answer,) = client.post(CHAT, json=body).json()["choices"]
    assert answer["finish_reason"] == "tool_calls"
    assert answer["message"]["content"] is None
    (call,) = answer["message"]["tool_calls"]
    assert (call["type"], call["id"][:5]) == ("function", "call_")
    check(call["function"]["name"], call["function"]["arguments"])
    if choice != "required":
        assert call["function"]["name"] == "add"
    lines = client.post(CHAT, json={**body, "stream": True}).text.split("\n\n")
    deltas = [json.loads(line[6:])["choices"][0] for line in lines if line.startswith("data: {")]
    (streamed,) = [delta["delta"]["tool_calls"] for delta in deltas if "tool_calls" in delta["delta"]]
    assert streamed == [{"index": 0, **call, "id": streamed[0]["id"]}]
    assert (deltas[-1]["finish_reason"], deltas[-1]["delta"]) == ("tool_calls", {})


@pytest.mark.parametrize("first", ["{", '"'])
def test_calls_or_json(client: Any, llm: Llama, first: str) -> None:
    """With a schema for answers, a model that may call functions gives either."""
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": ["yes", "no"]}}}
    (id,) = llm.tokenizer.encode(first)
    body = {"messages": HELLO, "tools": TOOLS, "response_format": schema, "seed": 1, "logit_bias": {str(id): 50}}
    message = client.post(CHAT, json=body).json()["choices"][0]["message"]
    if first == "{":
        (call,) = message["tool_calls"]
        check(call["function"]["name"], call["function"]["arguments"])
    else:
        assert json.loads(message["content"]) in ("yes", "no")


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"tools": [1]}, "tools", "tools has 1; supported: objects of type 'function'"),
        ({"tools": [{"type": "web_search"}]}, "tools", "tools has {'type': 'web_search'}; supported"),
        ({"tools": [{"type": "function"}]}, "tools", "tools: function is missing"),
        ({"tools": [{"type": "function", "function": {"name": 1}}]}, "tools", "tools: name is 1"),
        ({"tools": [*TOOLS, TOOLS[0]]}, "tools", "tools has 3 functions; allowed: 128 with different names"),
        ({"tools": TOOLS, "tool_choice": "any"}, "tool_choice", "tool_choice is 'any'; supported"),
        ({"tool_choice": "required"}, "tool_choice", "tool_choice is 'required'; supported"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "sub"}}},
            "tool_choice",
            "tool_choice is {'type': 'function', 'function': {'name': 'sub'}}; supported: 'none', 'auto'",
        ),
        ({"functions": []}, "functions", "unsupported field: functions"),
        (
            {"tools": [function("f", a={"type": "nonsense"})], "tool_choice": "required"},
            None,
            "JSON schema of a function: ",
        ),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_tools_that_are_refused(client: Any, fields: dict[str, Any], param: str | None, message: str) -> None:
    response = client.post(CHAT, json={"messages": HELLO, **fields})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"].startswith(message)
    assert error["param"] == param


def test_a_model_without_words_for_tools_is_told(client: Any) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "rain"},
    ]
    prompt = client.post("/apply-template", json={"messages": messages, "tools": TOOLS}).json()["prompt"]
    assert "Be brief.\n\nYou can call these functions:\n" in prompt
    assert '{"name": "weather", "description": "weather"' in prompt
    assert 'assistant<|end_header_id|>\n\n{"name": "weather", "parameters": {"city": "Paris"}}<|eot_id|>' in prompt
    assert "developer" not in prompt
    without = client.post("/apply-template", json={"messages": messages, "tools": TOOLS, "tool_choice": "none"})
    assert "You can call" not in without.json()["prompt"]


@pytest.mark.parametrize("name", [name for name in META if name != "llama-3"])
def test_templates_that_know_tools_tell_them_themselves(name: str) -> None:
    try:
        template = ChatTemplate(load_template(name), bos="", eos="")
    except StoreError as error:
        pytest.skip(f"needs the template: {error}")
    assert knows_tools(template)
    assert told(template, HELLO, TOOLS) == (HELLO, TOOLS)
    assert arguments_name(template) == "parameters"
    assert arguments_name(ChatTemplate("<tool_call>", bos="", eos="")) == "arguments"


def test_schemas_of_functions_that_are_refused() -> None:
    pytest.importorskip("llguidance", reason="needs pip install 'pyllama3[constrained]'")
    with pytest.raises(OptionError, match="JSON schema of a function: "):
        function_call({"f": {"type": "nonsense"}}, "arguments")
