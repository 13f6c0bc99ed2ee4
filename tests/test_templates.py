"""Templates render as Hugging Face's `apply_chat_template` does; tests/data/make_chat_renderings.py is the witness."""

from __future__ import annotations

import ast
import datetime
import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from pyllama3.chat import ChatTemplate
from pyllama3.errors import StoreError
from pyllama3.store import PackagedFile, pull_packaged
from pyllama3.weights.gguf import read_gguf

WITNESS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "chat_renderings.json").read_text("utf-8"))
FOLDER = "PYLLAMA3_TEMPLATES"
UNSLOTH = PackagedFile(
    package="unsloth",
    version="2024.10.7",
    wheel_size=164_708,
    member="unsloth/chat_templates.py",
    sha256="0bf34ca301930cbdcbace417dbe2228dd2f5da8f79174eb400b85c880a4a0074",
)
"""A package that has Meta's templates as constants."""
CONSTANTS = {"llama-3": "llama3_template", "llama-3.1": "llama31_template"}


def find_source(name: str, smollm2_path: Path) -> str:
    if folder := os.environ.get(FOLDER):
        return Path(folder, f"{name}.jinja").read_text("utf-8")
    if name == "smollm2":
        return str(read_gguf(smollm2_path).metadata["tokenizer.chat_template"])
    if name not in CONSTANTS:
        pytest.skip(f"needs ${FOLDER} with {name}.jinja, which no small package has")
    try:
        path = pull_packaged(UNSLOTH).path
    except StoreError as error:
        pytest.skip(f"needs Meta's template: {error}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has escapes that Python deprecates
        module = ast.parse(path.read_text("utf-8"))
    values = [
        statement.value
        for statement in module.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == CONSTANTS[name]
    ]
    return str(ast.literal_eval(values[0]))


@pytest.mark.parametrize("conversation", WITNESS["conversations"])
@pytest.mark.parametrize("name", WITNESS["templates"])
def test_renders_as_hugging_face_does(name: str, conversation: str, smollm2_path: Path) -> None:
    source = find_source(name, smollm2_path)
    expected = WITNESS["templates"][name]
    assert hashlib.sha256(source.encode()).hexdigest() == expected["sha256"]
    template = ChatTemplate(source, bos=WITNESS["bos"], eos=WITNESS["eos"])
    date = datetime.date.fromisoformat(WITNESS["date"])
    assert template.render(**WITNESS["conversations"][conversation], date=date) == expected["renderings"][conversation]


def test_arguments_of_calls_may_be_json_as_openai_writes_them(smollm2_path: Path) -> None:
    case = json.loads(json.dumps(WITNESS["conversations"]["tool result"]))
    call = case["messages"][1]["tool_calls"][0]["function"]
    call["arguments"] = json.dumps(call["arguments"])
    source = "{{ messages[1].tool_calls[0].function.arguments.city }}{{ messages[0].content }}"
    template = ChatTemplate(source, bos="", eos="")
    assert template.render(case["messages"]) == "Zürich" + case["messages"][0]["content"]
    call["arguments"] = "not JSON"
    source = "{{ messages[1].tool_calls[0].function.arguments }}"
    assert ChatTemplate(source, bos="", eos="").render(case["messages"]) == "not JSON"
