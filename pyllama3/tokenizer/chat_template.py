"""Chat messages to the text, and the token ids, that a model was trained to answer."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from ..errors import TemplateError
from .builtin_templates import BY_END_TOKEN
from .messages import (
    Message,
    as_templates_know_it,
    check_messages,
    check_tools,
    content_to_continue,
    has_parts,
    with_ending,
    with_joined_parts,
)
from .shield import mark, mark_names, names_looked_for, shielded, without_marks, without_shields
from .template_guard import GuardedEnvironment, guarded, limited
from .tokenizer import Tokenizer
from .vocabulary import Vocabulary

DEFAULT, TOOL_USE = "default", "tool_use"
"""Names of templates: a model that has one for tools wants it when there are some, as `transformers` does."""

_ENDING = "\ufdd0\ufdd1 "
"""What is put behind a message that is to go on: noncharacters, and a blank, by which templates that trim are known."""

_Tools = Sequence[Mapping[str, Any]] | None
_T = TypeVar("_T")


class ChatTemplate:
    """Jinja templates as Hugging Face `transformers` understands them, rendered in a sandbox.

    They are compiled when they are first needed, so that a broken one stops nothing else.
    """

    def __init__(
        self, source: str | Mapping[str, str], *, bos: str, eos: str, tokens: Mapping[str, Any] | None = None
    ) -> None:
        """Keep a template, or several by name.

        `bos` and `eos` are what they may use as `bos_token` and `eos_token`; `tokens` has further such names.
        """
        self._sources = {DEFAULT: source} if isinstance(source, str) else dict(source)
        self._tokens = {**(tokens or {}), "bos_token": bos, "eos_token": eos}
        self._compiled: dict[tuple[str, frozenset[str]], jinja2.Template] = {}

    @property
    def source(self) -> str:
        """Source of the template for a conversation without tools, or of the first if none is for it."""
        return self._sources.get(DEFAULT) or next(iter(self._sources.values()))

    @property
    def names(self) -> Sequence[str]:
        """Names of the templates."""
        return list(self._sources)

    def check(self) -> None:
        """Compile all templates.

        Raises:
            TemplateError: one is not a Jinja template.
        """
        for name in self._sources:
            self._compile(name, frozenset())

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: _Tools = None,
        date: datetime.date | None = None,
    ) -> str:
        """Return the conversation as one text, by default with the beginning of the assistant's answer.

        With `continue_final_message` it ends where the last message does, so that the model goes on with that.
        `date` is what a template that asks for today's date gets, default: today.

        Raises:
            TemplateError: a message has no role or no text, or the template is none, refuses the messages, fails, or
                does not write the last one as it is, though it is to go on.
        """
        messages, tools = check_messages(messages), check_tools(tools)
        options = add_generation_prompt, continue_final_message, tools, date
        return self._render(messages, *options, frozenset())

    def render_shielded(
        self,
        messages: Sequence[Message],
        names: Collection[str],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: _Tools = None,
        date: datetime.date | None = None,
    ) -> str:
        """Render with shields in all of some names, except those that the template has written.

        Raises:
            TemplateError: see `render`.
        """
        messages, tools = check_messages(messages), check_tools(tools)
        marked = names_looked_for(self._parse(self._choose(tools)), names)
        hidden = [name for name in names if name not in marked]
        messages, tools = shielded(messages, hidden), shielded(tools, hidden)
        options = add_generation_prompt, continue_final_message, tools, date
        return without_marks(self._render(messages, *options, marked), marked)

    def _render(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        continue_final_message: bool,
        tools: _Tools,
        date: datetime.date | None,
        marked: frozenset[str],
    ) -> str:
        name = self._choose(tools)
        if has_parts(messages) and not self._takes_parts(name):
            messages = [with_joined_parts(message) for message in messages]
        continued = content_to_continue(messages[-1]) if continue_final_message else None
        if continued is not None:
            messages = [*messages[:-1], with_ending(messages[-1], _ENDING)]

        def strftime_now(format: str) -> str:
            return (date or datetime.datetime.now()).strftime(format)

        text = self._run(
            name,
            marked,
            messages=[as_templates_know_it(message) for message in messages],
            tools=tools,
            documents=None,
            add_generation_prompt=add_generation_prompt and continued is None,
            strftime_now=strftime_now,
        )
        return text if continued is None else _up_to_ending(text, continued)

    def _run(self, name: str, marked: frozenset[str], **variables: Any) -> str:
        template = self._compile(name, marked)
        tokens = {key: mark(value, marked) if isinstance(value, str) else value for key, value in self._tokens.items()}
        try:
            with limited(_text_size(variables)):
                return template.render(**tokens, **variables)
        except Exception as error:  # a template can raise anything, as any program can
            raise TemplateError(f"chat template: {_one_line(str(error)) or type(error).__name__}") from error

    def _choose(self, tools: _Tools) -> str:
        if tools is not None and TOOL_USE in self._sources:
            return TOOL_USE
        if DEFAULT not in self._sources:
            names = ", ".join(self._sources)
            raise TemplateError(f"the model has chat templates named {names:.80}, of which none is the default")
        return DEFAULT

    def _takes_parts(self, name: str) -> bool:
        """Tell whether a template goes through the parts of a content, by trying it with one part."""
        probe = "\N{OBJECT REPLACEMENT CHARACTER}"
        message = {"role": "user", "content": [{"type": "text", "text": probe}]}
        try:
            text = self._run(name, frozenset(), messages=[message], tools=None, add_generation_prompt=False)
        except TemplateError:
            return False
        return probe in text and f"'{probe}'" not in text and f'"{probe}"' not in text

    def _compile(self, name: str, marked: frozenset[str]) -> jinja2.Template:
        if (name, marked) not in self._compiled:
            tree = mark_names(self._parse(name), marked)
            self._compiled[name, marked] = _read(lambda: _environment().from_string(tree))
        return self._compiled[name, marked]

    def _parse(self, name: str) -> nodes.Template:
        return _read(lambda: _environment().parse(self._sources[name]))


def _up_to_ending(text: str, continued: str) -> str:
    """Return what a template has written up to the end of a message, as `transformers` does.

    Raises:
        TemplateError: it has not written the message as it is.
    """
    found = text.rfind(_ENDING.rstrip())
    if found < 0 or continued.strip() not in text:
        raise TemplateError("chat template: it changes the last message, which therefore cannot be continued")
    return text[:found] if text.startswith(_ENDING, found) else text[:found].rstrip()


def find_template(sources: Mapping[str, str], vocabulary: Vocabulary) -> ChatTemplate | None:
    """Return the chat templates of a model, or a built-in one for its vocabulary; None for a base model."""
    bos, eos, eot = map(vocabulary.name, (vocabulary.bos_id, vocabulary.eos_id, vocabulary.eot_id))
    source = sources or BY_END_TOKEN.get(eot) or BY_END_TOKEN.get(eos)
    return None if source is None else ChatTemplate(source, bos=bos, eos=eos, tokens=vocabulary.template_tokens)


def encode_chat(
    tokenizer: Tokenizer,
    template: ChatTemplate,
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool = True,
    continue_final_message: bool = False,
    tools: _Tools = None,
    date: datetime.date | None = None,
) -> list[int]:
    """Return the token ids of a conversation: the template's markers are special tokens, text of messages never is.

    The one BOS that a model expects is put in front unless the template has written it.

    Raises:
        TemplateError: see `ChatTemplate.render`.
    """
    text = template.render_shielded(
        messages,
        tokenizer.special_names,
        add_generation_prompt=add_generation_prompt,
        continue_final_message=continue_final_message,
        tools=tools,
        date=date,
    )
    parts = tokenizer.split_special(text)
    return tokenizer.with_bos(
        tokenizer.encode_parts(part if isinstance(part, int) else without_shields(part) for part in parts)
    )


class _Generation(Extension):
    """The block {% generation %}, with which `transformers` finds the texts to train on: what is in it is written."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        """Return the block's content, whose assignments stay in it."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


@functools.cache
def _environment() -> GuardedEnvironment:
    environment = GuardedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.filters["tojson"] = guarded(_to_json)
    environment.globals["raise_exception"] = _raise_exception
    return environment


def _read(read: Callable[[], _T]) -> _T:
    try:
        with limited():
            return read()
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"chat template, line {error.lineno}: {_one_line(error.message)}") from error
    except (
        RecursionError,
        MemoryError,
        SyntaxError,
    ) as error:  # Python has limits for programs, which templates become
        raise TemplateError("chat template: too deeply nested") from error
    except Exception as error:
        raise TemplateError(f"chat template: {_one_line(str(error)) or type(error).__name__}") from error


def _text_size(value: Any) -> int:
    """Return how many characters the strings in a structure of JSON's types have."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_text_size, value.values()))
    return sum(map(_text_size, value)) if isinstance(value, Sequence) else 0


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
