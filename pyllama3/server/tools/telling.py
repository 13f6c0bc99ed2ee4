"""Conversations with functions, in the form that the chat template of a model knows."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import TemplateError
from ...tokenizer.chat_template import ChatTemplate

Message = Mapping[str, Any]

_PROBE = "probe_function"
_PROBE_TOOL = {
    "type": "function",
    "function": {"name": _PROBE, "description": _PROBE, "parameters": {"type": "object", "properties": {}}},
}


def told(
    template: ChatTemplate | None, messages: Sequence[Any], tools: Sequence[Mapping[str, Any]] | None
) -> tuple[list[Any], Sequence[Mapping[str, Any]] | None]:
    """Return messages and functions as a template knows them.

    Developers are the system. If the template has no words for functions, a system message tells of them, and calls
    are the text in which the model has written them.
    """
    known = [_as_system(message) for message in messages]
    has_calls = any(isinstance(message, dict) and message.get("tool_calls") for message in known)
    if template is None or not (tools or has_calls) or knows_tools(template):
        return known, tools
    known = [_with_written_calls(message) for message in known]
    return (_with_system_text(known, _description(tools)) if tools else known), None


def arguments_name(template: ChatTemplate | None) -> str:
    """Return what a model calls the arguments in its calls: Llama's are "parameters", those of others "arguments"."""
    return "arguments" if template is not None and "<tool_call>" in template.source else "parameters"


@functools.lru_cache(maxsize=8)
def knows_tools(template: ChatTemplate) -> bool:
    """Tell whether a template writes the functions that it is given."""
    messages = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    try:
        return _PROBE in template.render(messages, tools=[_PROBE_TOOL])
    except TemplateError:
        return False


def _as_system(message: Any) -> Any:
    if isinstance(message, dict) and message.get("role") == "developer":
        return {**message, "role": "system"}
    return message


def _with_written_calls(message: Any) -> Any:
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if not isinstance(calls, list) or not calls:
        return message
    functions = [call.get("function") for call in calls if isinstance(call, dict)]
    written = [_write(function) for function in functions if isinstance(function, dict)]
    content = [message["content"]] if isinstance(message.get("content"), str) and message["content"] else []
    rest = {key: value for key, value in message.items() if key != "tool_calls"}
    return {**rest, "content": "\n".join([*content, *written])}


def _write(function: Mapping[str, Any]) -> str:
    arguments = function.get("arguments") or "{}"
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return f'{{"name": {json.dumps(function.get("name"), ensure_ascii=False)}, "parameters": {written}}}'


def _with_system_text(messages: list[Any], text: str) -> list[Any]:
    first = messages[0] if messages else None
    if isinstance(first, dict) and first.get("role") == "system" and isinstance(first.get("content"), str):
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _description(tools: Sequence[Mapping[str, Any]]) -> str:
    functions = [json.dumps(tool.get("function", tool), ensure_ascii=False) for tool in tools]
    return "\n".join(
        [
            "You can call these functions:",
            *functions,
            'To call one, answer only with {"name": its name, "parameters": its arguments}, in JSON.',
        ]
    )
