"""Chat messages to the text, and the token ids, that a model was trained to answer."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..errors import TemplateError
from .tokenizer import Tokenizer
from .vocabulary import Vocabulary

LLAMA3 = """\
{{- bos_token }}
{%- for message in messages %}
    {{- "<|start_header_id|>" + message["role"] + "<|end_header_id|>\\n\\n" }}
    {{- message["content"].strip() + "<|eot_id|>" }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|start_header_id|>assistant<|end_header_id|>\\n\\n" }}
{%- endif %}
"""
"""Llama 3's format (meta-llama/llama-models, llama3/chat_format.py), for models which bring no template."""

CHATML = """\
{%- for message in messages %}
    {{- "<|im_start|>" + message["role"] + "\\n" + message["content"] + "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|im_start|>assistant\\n" }}
{%- endif %}
"""
"""ChatML, for models which bring no template."""

_FALLBACKS = {"<|eot_id|>": LLAMA3, "<|im_end|>": CHATML}
"""A base model has these tokens too, but only a chat model ends its texts with them."""

_SHIELD = "\U0010ffff"
"""Breaks up the names of special tokens in messages; a noncharacter, which Unicode reserves for internal use."""


class ChatTemplate:
    """A Jinja template as Hugging Face `transformers` understands it, rendered in a sandbox."""

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        """Compile a template which may use `bos_token` and `eos_token`.

        Raises:
            TemplateError: the source is not a Jinja template.
        """
        self.source = source
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _raise_exception, "bos_token": bos, "eos_token": eos}
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"chat template, line {error.lineno}: {_one_line(error.message)}") from error
        except RecursionError as error:
            raise TemplateError("chat template: too deeply nested") from error

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        date: datetime.date | None = None,
    ) -> str:
        """Return the conversation as one text, by default with the beginning of the assistant's answer.

        `date` is what a template that asks for today's date gets, default: today.

        Raises:
            TemplateError: a message has no role or no text, or the template refuses the messages or fails.
        """
        check_messages(messages)

        def strftime_now(format: str) -> str:
            return (date or datetime.datetime.now()).strftime(format)

        try:
            return self._template.render(
                messages=[_with_parsed_calls(message) for message in messages],
                tools=tools,
                add_generation_prompt=add_generation_prompt,
                strftime_now=strftime_now,
            )
        except Exception as error:  # a template can raise anything, as any program can
            raise TemplateError(f"chat template: {_one_line(str(error)) or type(error).__name__}") from error


def find_template(source: str | None, vocabulary: Vocabulary) -> ChatTemplate | None:
    """Return the chat template of a model, or a built-in one for its vocabulary; None for a base model.

    Raises:
        TemplateError: the source is not a Jinja template.
    """
    bos, eos, eot = map(vocabulary.name, (vocabulary.bos_id, vocabulary.eos_id, vocabulary.eot_id))
    source = source or _FALLBACKS.get(eot) or _FALLBACKS.get(eos)
    return None if source is None else ChatTemplate(source, bos=bos, eos=eos)


def encode_chat(
    tokenizer: Tokenizer,
    template: ChatTemplate,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
    tools: Sequence[Mapping[str, Any]] | None = None,
    date: datetime.date | None = None,
) -> list[int]:
    """Return the token ids of a conversation: the template's markers are special tokens, text of messages never is.

    The template sees the messages as they are, except that one character is put inside each name of a special token
    (and inside the beginning of one at the end of a string, which could be completed by what the template appends).
    So it may trim, test and cut them. Special tokens are then looked for in the rendered text, where only those that
    the template has written are whole, and the character is removed from what is between them.
    The one BOS that a model expects is put in front unless the template has written it.

    Raises:
        TemplateError: see `ChatTemplate.render`.
    """
    check_messages(messages)
    text = template.render(
        _shielded(messages, tokenizer.special_names),
        add_generation_prompt=add_generation_prompt,
        tools=_shielded(tools, tokenizer.special_names),
        date=date,
    )
    ids: list[int] = []
    for part in tokenizer.split_special(text):
        ids += [part] if isinstance(part, int) else tokenizer.encode(part.replace(_SHIELD, ""))
    if tokenizer.add_bos and tokenizer.bos_id is not None and ids[:1] != [tokenizer.bos_id]:
        ids.insert(0, tokenizer.bos_id)
    return ids


def check_messages(messages: Sequence[Mapping[str, Any]]) -> None:
    """Check the form of messages.

    Raises:
        TemplateError: there are none, or one has no role or no text.
    """
    if not messages:
        raise TemplateError("there are no messages")
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, Mapping):
            raise TemplateError(f"message {number} is a {type(message).__name__}; a mapping is expected")
        if not isinstance(message.get("role"), str):
            raise TemplateError(f"message {number} has no role, such as 'user' or 'assistant'")
        content = message.get("content")
        if not isinstance(content, str) and not (content is None and "tool_calls" in message):
            found = "no content" if content is None else f"content of type {type(content).__name__}"
            raise TemplateError(f"message {number} has {found}; text is expected")


def _with_parsed_calls(message: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**message, "tool_calls": _with_objects(message["tool_calls"])} if "tool_calls" in message else message


def _with_objects(value: Any) -> Any:
    """Parse the "arguments" of function calls: OpenAI writes them as JSON in a string, templates expect them parsed."""
    if isinstance(value, Mapping):
        return {key: _parsed(item) if key == "arguments" else _with_objects(item) for key, item in value.items()}
    return [_with_objects(item) for item in value] if isinstance(value, list) else value


def _parsed(arguments: Any) -> Any:
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:  # a model has written them
        return arguments


def _shielded(value: Any, names: Collection[str]) -> Any:
    """Copy a structure of JSON's types with all its strings shielded."""
    if isinstance(value, str):
        return _shielded_text(value, names)
    if isinstance(value, Mapping):
        return {_shielded(key, names): _shielded(item, names) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_shielded(item, names) for item in value]
    return value


def _shielded_text(text: str, names: Collection[str]) -> str:
    """Break up every one of `names` in a text, and the beginning of one at its end, blanks there not counted."""
    end = len(text.rstrip())
    first_characters = {name[0] for name in names}
    longest = max(map(len, names), default=0)

    def begins_name(start: int) -> bool:
        tail = text[start : min(end, start + longest)]
        return any(text.startswith(name, start) or name.startswith(tail) for name in names)

    return "".join(c + _SHIELD if c in first_characters and begins_name(i) else c for i, c in enumerate(text))


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's filter of this name escapes HTML and has no such options; templates are written for this one."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
