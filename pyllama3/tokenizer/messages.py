"""Messages of a conversation in OpenAI's form: checked, and brought into the form that templates are written for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..arguments import items, mapping
from ..errors import TemplateError
from ..foreign import MAX_DEPTH, is_deep

Message = Mapping[str, Any]

_THOUGHTS = ("reasoning_content", "thinking", "reasoning")
"""What clients call the thoughts of a model; templates read the first, some the second."""


def check_messages(messages: Sequence[Message]) -> list[Message]:
    """Check the form of messages: each has a role, and a text, or parts of text, or (with other fields) nothing.

    Raises:
        OptionError: they are no sequence.
        TemplateError: there are none, or one has another form.
    """
    messages = items("messages", messages, "messages with role and content")
    if not messages:
        raise TemplateError("there are no messages")
    if is_deep(messages):
        raise TemplateError(f"the messages are nested too deeply; at most {MAX_DEPTH} levels are taken")
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, Mapping):
            raise TemplateError(f"message {number} is a {type(message).__name__}; a mapping is expected")
        if not isinstance(message.get("role"), str):
            raise TemplateError(f"message {number} has no role, such as 'user' or 'assistant'")
        content = message.get("content")
        if content is None:
            if not message.keys() - {"role", "content"}:
                raise TemplateError(f"message {number} has no content; text is expected")
        elif isinstance(content, list):
            _check_parts(number, content)
        elif not isinstance(content, str):
            raise TemplateError(f"message {number} has content of type {type(content).__name__}; text is expected")
    return messages


def check_tools(tools: Sequence[Message] | None) -> list[Message] | None:
    """Check that tools are mappings.

    Raises:
        OptionError: they are not.
        TemplateError: they are nested too deeply.
    """
    if tools is None:
        return None
    for tool in (listed := items("tools", tools, "function definitions")):
        mapping("a tool", tool, "a function definition")
    if is_deep(listed):
        raise TemplateError(f"the tools are nested too deeply; at most {MAX_DEPTH} levels are taken")
    return listed


def has_parts(messages: Sequence[Message]) -> bool:
    """Tell whether the content of any message is a list of parts."""
    return any(isinstance(message.get("content"), list) for message in messages)


def with_joined_parts(message: Message) -> Message:
    """Return a message whose parts are one text, with line feeds between them as llama.cpp joins them."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": "\n".join(part["text"] for part in content if part["text"])}


def content_to_continue(message: Message) -> str:
    """Return the text of a message that is to go on: its content, or the last part of it.

    Raises:
        TemplateError: it has none.
    """
    content = message.get("content")
    if isinstance(content, list) and content:
        return str(content[-1]["text"])
    if isinstance(content, str):
        return content
    raise TemplateError("the last message has no text that could be continued")


def with_ending(message: Message, ending: str) -> Message:
    """Return a message with something behind its text, which `content_to_continue` has found."""
    content = message["content"]
    if isinstance(content, str):
        return {**message, "content": content + ending}
    return {**message, "content": [*content[:-1], {**content[-1], "text": content[-1]["text"] + ending}]}


def as_templates_know_it(message: Message) -> Message:
    """Return a message as `transformers` gives it to templates: without fields of null, thoughts under each name.

    The arguments of function calls are parsed.
    """
    known = {key: value for key, value in _with_parsed_calls(message).items() if value is not None}
    thoughts = next((known[name] for name in _THOUGHTS if name in known), None)
    return known if thoughts is None else {"thinking": thoughts, **known, "reasoning_content": thoughts}


def _with_parsed_calls(message: Message) -> Message:
    """Parse the "arguments" of function calls: OpenAI writes them as JSON in a string, templates expect them parsed."""
    return {**message, "tool_calls": _with_objects(message["tool_calls"])} if "tool_calls" in message else message


def _check_parts(number: int, parts: Sequence[Any]) -> None:
    for part in parts:
        type = part.get("type") if isinstance(part, Mapping) else None
        if type != "text":
            raise TemplateError(f"message {number} has a part of type {type!r:.40}; supported: 'text'")
        if not isinstance(part.get("text"), str):
            raise TemplateError(f"message {number} has a part without text")


def _with_objects(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _parsed(item) if key == "arguments" else _with_objects(item) for key, item in value.items()}
    return [_with_objects(item) for item in value] if isinstance(value, list) else value


def _parsed(arguments: Any) -> Any:
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):  # a model has written them
        return arguments
