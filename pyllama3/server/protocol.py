"""Requests in the form of OpenAI's API (platform.openai.com/docs/api-reference), as far as it applies.

What would change the answer is obeyed or refused by name; the answers are in `answers` and `chunks`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import OptionError
from ..generation.constraint import Grammar, function_call, json_schema
from ..model import Llama
from .fields import ARRAY, BOOLEAN, INTEGER, NUMBER, OBJECT, STRING, FieldError, find, get, is_a
from .tools.choice import Tools, read_tools
from .tools.telling import arguments_name, told

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
URLS = (CHAT, COMPLETIONS)
MOST_TEXTS = 128
"""Texts that a request may ask for."""

SAMPLING = {
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": INTEGER,
    "min_p": NUMBER,
    "repeat_penalty": NUMBER,
    "repeat_last_n": INTEGER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "seed": INTEGER,
}
"""Fields that are options of the sampler; top_k, min_p and the repeat options are not OpenAI's."""
_COMMON = {
    *SAMPLING,
    *("logit_bias", "max_tokens", "stop", "response_format", "model", "n", "stream", "stream_options"),
    "return_token_ids",  # vLLM's
}
TEMPLATING = {"add_generation_prompt", "continue_final_message"}
"""Fields that say how a conversation ends, of `transformers` and vLLM."""
_FIELDS = {
    CHAT: {
        *_COMMON,
        *("messages", "max_completion_tokens", "logprobs", "top_logprobs"),
        *("tools", "tool_choice", "parallel_tool_calls"),
        *TEMPLATING,
    },
    COMPLETIONS: {*_COMMON, "prompt", "logprobs", "echo"},
}
IGNORED = {
    *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
    *("prediction", "reasoning_effort", "verbosity"),
}
"""Fields that change no answer of a model like these."""
_FIXED = {"best_of": 1, "suffix": "", "modalities": ["text"]}
"""Fields of which only these values are supported."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a request asks for."""

    url: str
    model: str
    prompts: Sequence[Sequence[int]]
    """Each is to be continued `count` times."""
    count: int
    options: Mapping[str, Any]
    """Options of `Llama.generation`."""
    logprobs: bool
    stream: bool
    include_usage: bool
    """Whether a stream tells the counts at its end."""
    echo: Sequence[str]
    """What the answers to each prompt begin with."""
    return_token_ids: bool
    tools: Tools | None
    """What the answer may call."""

    @property
    def texts(self) -> int:
        """How many texts are asked for."""
        return len(self.prompts) * self.count

    def options_of(self, index: int) -> dict[str, Any]:
        """Return the options of one of the texts: each of several from one prompt has a seed of its own."""
        options = dict(self.options)
        if options.get("seed") is not None:
            options["seed"] += index % self.count
        return options


def read_request(llm: Llama, url: Any, body: Any, defaults: Mapping[str, Any]) -> Request:
    """Translate the body of a request; `defaults` are the options of the sampler where it says nothing.

    Raises:
        PyLlama3Error: a field is missing, has a value that is not allowed, or is not supported.
    """
    if url not in URLS:
        raise OptionError(f"url is {url!r:.80}; supported: {', '.join(URLS)}")
    fields = read_fields(body, _FIELDS[url])
    chat = url == CHAT
    logprobs, top_logprobs = _logprobs(fields, chat)
    tools = read_tools(fields) if chat else None
    prompts = [encode_messages(llm, fields, tools)] if chat else _prompts(llm, fields.get("prompt"))
    options = {**defaults, **read_sampling(fields)}
    if "logit_bias" in fields:
        options["logit_bias"] = _logit_bias(get(fields, "logit_bias", OBJECT))
    most = [find(fields, name, INTEGER) for name in ("max_completion_tokens", "max_tokens")]
    options["max_tokens"] = next((count for count in most if count is not None), None)
    options["stop"] = _stop(fields.get("stop", ()))
    options["grammar"] = _grammar(llm, find(fields, "response_format", OBJECT, {"type": "text"}), tools)
    options["top_logprobs"] = top_logprobs
    count = find(fields, "n", INTEGER, 1)
    if count < 1 or count * len(prompts) > MOST_TEXTS:
        raise FieldError("n", f"n is {count}, for {len(prompts)} prompts; allowed: 1 to {MOST_TEXTS} texts")
    echo = find(fields, "echo", BOOLEAN, False)
    if echo and logprobs:
        raise FieldError("logprobs", "logprobs with echo are not supported")
    return Request(
        url=url,
        model=find(fields, "model", STRING, llm.config.name),
        prompts=prompts,
        count=count,
        options=options,
        logprobs=logprobs,
        stream=find(fields, "stream", BOOLEAN, False),
        include_usage=_include_usage(fields),
        echo=[llm.tokenizer.decode(prompt) for prompt in prompts] if echo else [""] * len(prompts),
        return_token_ids=find(fields, "return_token_ids", BOOLEAN, False),
        tools=tools,
    )


def encode_messages(llm: Llama, fields: Mapping[str, Any], tools: Tools | None) -> list[int]:
    """Return the tokens of the "messages" of a request, in which functions may be called.

    Raises:
        FieldError: a field has another type, or the conversation is to end in two ways.
        TemplateError: see `Llama.encode_chat`.
    """
    known, definitions = told(llm.template, get(fields, "messages", ARRAY), tools.definitions if tools else None)
    continues = find(fields, "continue_final_message", BOOLEAN, False)
    begins = find(fields, "add_generation_prompt", BOOLEAN, not continues)
    if begins and continues:
        raise FieldError("continue_final_message", "add_generation_prompt and continue_final_message are both true")
    return llm.encode_chat(known, add_generation_prompt=begins, continue_final_message=continues, tools=definitions)


def read_sampling(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the sampler that are among some fields.

    Raises:
        FieldError: one is of another type.
    """
    return {name: get(fields, name, kind) for name, kind in SAMPLING.items() if name in fields}


def read_fields(
    body: Any, known: set[str], *, ignored: Collection[str] = IGNORED, fixed: Mapping[str, Any] = _FIXED
) -> dict[str, Any]:
    """Return the fields of a body that say something: null means that a field is not there.

    Raises:
        OptionError: it is not an object.
        FieldError: a field is not among the known ones, or not what it is fixed to.
    """
    if not isinstance(body, Mapping):
        raise OptionError("the body is not a JSON object")
    fields = {name: value for name, value in body.items() if value is not None and name not in ignored}
    for name, value in fixed.items():
        if fields.pop(name, value) != value:
            raise FieldError(name, f"{name} is {body[name]!r:.80}; supported: {value!r}")
    unknown = sorted(fields.keys() - known)
    if unknown:
        raise FieldError(unknown[0], f"unsupported field: {', '.join(unknown)}")
    return fields


def _include_usage(fields: Mapping[str, Any]) -> bool:
    options = find(fields, "stream_options", OBJECT, {})
    unknown = sorted(options.keys() - {"include_usage", "include_obfuscation"})
    if unknown:
        raise FieldError("stream_options", f"unsupported field of stream_options: {', '.join(unknown)}")
    return bool(find(options, "include_usage", BOOLEAN, False))


def _logprobs(fields: Mapping[str, Any], chat: bool) -> tuple[bool, int]:
    if not chat:
        return "logprobs" in fields, find(fields, "logprobs", INTEGER, 0)
    logprobs, top_logprobs = find(fields, "logprobs", BOOLEAN, False), find(fields, "top_logprobs", INTEGER, 0)
    if top_logprobs and not logprobs:
        raise FieldError("top_logprobs", f"top_logprobs is {top_logprobs}, but logprobs is not true")
    return logprobs, top_logprobs


def _prompts(llm: Llama, prompt: Any) -> list[list[int]]:
    """Return the prompts of a text, of an array of texts, of token ids, or of an array of arrays of these."""
    several = isinstance(prompt, list) and bool(prompt) and not is_a(prompt[0], INTEGER)
    return [_prompt(llm, one) for one in (prompt if several else [prompt])]


def _prompt(llm: Llama, prompt: Any) -> list[int]:
    if isinstance(prompt, str):
        ids = llm.encode_prompt(prompt)
        if ids:
            return ids
        raise FieldError("prompt", "prompt is empty, and the model has no token to begin a text with")
    if isinstance(prompt, list) and prompt and all(is_a(id, INTEGER) for id in prompt):
        return prompt
    raise FieldError("prompt", "prompt is to be a string or an array of token ids, or an array of these")


def _logit_bias(biases: Mapping[str, Any]) -> dict[int | str, float]:
    result: dict[int | str, float] = {}
    for token, bias in biases.items():
        if not re.fullmatch("[0-9]{1,10}", token) or not is_a(bias, NUMBER):
            raise FieldError(
                "logit_bias", f"logit_bias has {token!r:.80}: {bias!r:.80}; token ids and numbers are expected"
            )
        result[int(token)] = bias
    return result


def _stop(stop: Any) -> list[str]:
    stops: Sequence[Any] = stop if isinstance(stop, (list, tuple)) else [stop]
    if not all(isinstance(text, str) for text in stops):
        raise FieldError("stop", f"stop is {stop!r:.80}; a string or an array of strings is expected")
    return list(stops)


def _grammar(llm: Llama, format: Mapping[str, Any], tools: Tools | None) -> Grammar | None:
    kind = format.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise FieldError(
            "response_format",
            f"response_format has type {kind!r:.80}; supported: 'text', 'json_object', 'json_schema'",
        )
    if tools is not None and tools.forced:
        return function_call({name: tools.schemas[name] for name in tools.forced}, arguments_name(llm.template))
    if kind == "text":
        return None
    schema = {"type": "object"}
    if kind == "json_schema":
        schema = get(get(format, "json_schema", OBJECT), "schema", OBJECT)
    if tools is not None:
        return function_call(tools.schemas, arguments_name(llm.template), or_schema=schema)
    return json_schema(schema)
