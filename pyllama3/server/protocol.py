"""Requests and answers in the form of OpenAI's API (platform.openai.com/docs/api-reference), as far as it applies."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import OptionError, PyLlama3Error
from ..foreign import printable
from ..generation.constraint import Grammar, json_object, json_schema
from ..generation.generation import Piece
from ..model import Llama
from ..tokenizer.tokenizer import Tokenizer

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
URLS = (CHAT, COMPLETIONS)

_NUMBER, _INTEGER, _BOOLEAN = "a number", "an integer", "true or false"
_ARRAY, _OBJECT = "an array", "an object"
_TYPES: dict[str, tuple[type, ...]] = {_NUMBER: (int, float), _INTEGER: (int,), _ARRAY: (list,), _OBJECT: (dict,)}
_SAMPLING = {
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "top_k": _INTEGER,
    "min_p": _NUMBER,
    "repeat_penalty": _NUMBER,
    "repeat_last_n": _INTEGER,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "seed": _INTEGER,
}
"""Fields that are options of the sampler; top_k, min_p and the repeat options are not OpenAI's."""
_COMMON = {*_SAMPLING, "logit_bias", "max_tokens", "stop", "response_format", "model"}
_FIELDS = {
    CHAT: {*_COMMON, "messages", "max_completion_tokens", "logprobs", "top_logprobs", "tools"},
    COMPLETIONS: {*_COMMON, "prompt", "logprobs"},
}
_IGNORED = {"user", "metadata", "store", "service_tier"}
"""Fields that mean nothing here."""
_FIXED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "stream": (False,),
    "echo": (False,),
    "best_of": (1,),
    "suffix": (None, ""),
    "tool_choice": ("auto",),
}
"""Fields of which only these values are supported."""
_IMPOSSIBLE = -9999.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a request asks for."""

    url: str
    model: str
    prompt: Sequence[int]
    options: Mapping[str, Any]
    """Options of `Llama.generate`."""
    logprobs: bool


def read_request(llm: Llama, url: Any, body: Any, defaults: Mapping[str, Any]) -> Request:
    """Translate the body of a request; `defaults` are the options of the sampler where it says nothing.

    Raises:
        PyLlama3Error: a field is missing, has a value that is not allowed, or is not supported.
    """
    if url not in URLS:
        raise OptionError(f"url is {url!r:.80}; supported: {', '.join(URLS)}")
    if not isinstance(body, Mapping):
        raise OptionError("the body is not a JSON object")
    fields = {name: value for name, value in body.items() if value is not None and name not in _IGNORED}
    for name, values in _FIXED.items():
        if fields.pop(name, values[0]) not in values:
            raise OptionError(f"{name} is {body[name]!r:.80}; supported: {values[0]!r}")
    unknown = sorted(fields.keys() - _FIELDS[url])
    if unknown:
        raise OptionError(f"unsupported field: {', '.join(unknown)}")
    chat = url == CHAT
    logprobs, top_logprobs = _logprobs(fields, chat)
    if chat:
        prompt = llm.encode_chat(_get(fields, "messages", _ARRAY), tools=_find(fields, "tools", _ARRAY))
    else:
        prompt = _prompt(llm, fields.get("prompt"))
    options = {**defaults, **{name: _get(fields, name, kind) for name, kind in _SAMPLING.items() if name in fields}}
    if "logit_bias" in fields:
        options["logit_bias"] = _logit_bias(_get(fields, "logit_bias", _OBJECT))
    most = [_find(fields, name, _INTEGER) for name in ("max_completion_tokens", "max_tokens")]
    options["max_tokens"] = next((count for count in most if count is not None), None)
    options["stop"] = _stop(fields.get("stop", ()))
    options["grammar"] = _grammar(_find(fields, "response_format", _OBJECT) or {"type": "text"})
    options["top_logprobs"] = top_logprobs
    return Request(
        url=url,
        model=str(fields.get("model", llm.config.name)),
        prompt=prompt,
        options=options,
        logprobs=logprobs,
    )


def response_body(request: Request, tokenizer: Tokenizer, pieces: Sequence[Piece]) -> dict[str, Any]:
    """Return the answer to a request, of which these are all pieces."""
    text = "".join(piece.text for piece in pieces)
    reason = pieces[-1].stats.finish_reason
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop" if reason == "stop" else "length"}
    shown = [piece for piece in pieces if piece.id not in tokenizer.stop_ids]
    if request.url == CHAT:
        choice["message"] = {"role": "assistant", "content": text}
        choice["logprobs"] = {"content": _chat_logprobs(tokenizer, shown)} if request.logprobs else None
    else:
        choice["text"] = text
        choice["logprobs"] = _text_logprobs(tokenizer, shown) if request.logprobs else None
    prompt_tokens = len(request.prompt)
    return {
        "id": f"{'chatcmpl' if request.url == CHAT else 'cmpl'}-{uuid.uuid4().hex}",
        "object": "chat.completion" if request.url == CHAT else "text_completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": len(pieces),
            "total_tokens": prompt_tokens + len(pieces),
        },
    }


def error_body(error: Exception) -> dict[str, Any]:
    """Return the answer to a request that is refused, or that cannot be answered by a fault of ours."""
    if isinstance(error, PyLlama3Error):
        message, type = str(error), "invalid_request_error"
    else:
        message, type = printable(f"internal error: {error.__class__.__name__}: {error}"), "server_error"
    return {"error": {"message": message, "type": type, "param": None, "code": None}}


def _is(value: Any, kind: str) -> bool:
    is_bool = isinstance(value, bool)
    if kind == _BOOLEAN or is_bool:
        return kind == _BOOLEAN and is_bool
    return isinstance(value, _TYPES[kind])


def _find(fields: Mapping[str, Any], name: str, kind: str) -> Any:
    return _get(fields, name, kind) if name in fields else None


def _get(fields: Mapping[str, Any], name: str, kind: str) -> Any:
    if name not in fields:
        raise OptionError(f"{name} is missing; {kind} is expected")
    if not _is(fields[name], kind):
        raise OptionError(f"{name} is {fields[name]!r:.80}; {kind} is expected")
    return fields[name]


def _logprobs(fields: Mapping[str, Any], chat: bool) -> tuple[bool, int]:
    if chat:
        return bool(_find(fields, "logprobs", _BOOLEAN)), _find(fields, "top_logprobs", _INTEGER) or 0
    return "logprobs" in fields, _find(fields, "logprobs", _INTEGER) or 0


def _prompt(llm: Llama, prompt: Any) -> list[int]:
    if isinstance(prompt, str):
        return llm.encode_prompt(prompt)
    if isinstance(prompt, list) and prompt and all(_is(id, _INTEGER) for id in prompt):
        return prompt
    raise OptionError("prompt is to be a string or an array of token ids")


def _logit_bias(biases: Mapping[str, Any]) -> dict[int | str, float]:
    result: dict[int | str, float] = {}
    for token, bias in biases.items():
        if not re.fullmatch("[0-9]{1,10}", token) or not _is(bias, _NUMBER):
            raise OptionError(f"logit_bias has {token!r:.80}: {bias!r:.80}; token ids and numbers are expected")
        result[int(token)] = bias
    return result


def _stop(stop: Any) -> list[str]:
    stops: Sequence[Any] = stop if isinstance(stop, (list, tuple)) else [stop]
    if not all(isinstance(text, str) for text in stops):
        raise OptionError(f"stop is {stop!r:.80}; a string or an array of strings is expected")
    return list(stops)


def _grammar(format: Mapping[str, Any]) -> Grammar | None:
    kind = format.get("type")
    if kind == "json_object":
        return json_object()
    if kind == "json_schema":
        return json_schema(_get(_get(format, "json_schema", _OBJECT), "schema", _OBJECT))
    if kind == "text":
        return None
    raise OptionError(f"response_format has type {kind!r:.80}; supported: 'text', 'json_object', 'json_schema'")


def _chat_logprobs(tokenizer: Tokenizer, pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    def entry(id: int, logprob: float) -> dict[str, Any]:
        bytes = list(tokenizer.token_bytes(id))
        return {"token": _name(tokenizer, id), "logprob": _finite(logprob), "bytes": bytes}

    return [
        {**entry(piece.id, piece.logprob), "top_logprobs": [entry(*top) for top in piece.top_logprobs]}
        for piece in pieces
    ]


def _text_logprobs(tokenizer: Tokenizer, pieces: Sequence[Piece]) -> dict[str, Any]:
    offsets = [0]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece.text))
    return {
        "tokens": [_name(tokenizer, piece.id) for piece in pieces],
        "token_logprobs": [_finite(piece.logprob) for piece in pieces],
        "top_logprobs": [_by_name(tokenizer, piece.top_logprobs) for piece in pieces],
        "text_offset": offsets[:-1],
    }


def _by_name(tokenizer: Tokenizer, top_logprobs: Sequence[tuple[int, float]]) -> dict[str, float]:
    """Return the logprobs of tokens by name; where several have the same, all but the first are called by their id."""
    named: dict[str, float] = {}
    for id, logprob in top_logprobs:
        name = _name(tokenizer, id)
        named[f"token_id:{id}" if name in named else name] = _finite(logprob)
    return named


def _name(tokenizer: Tokenizer, id: int) -> str:
    r"""Return the text of a token, for incomplete characters their bytes, as OpenAI writes them: bytes:\xf0\x9f."""
    data = tokenizer.token_bytes(id)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


def _finite(logprob: float) -> float:
    """Return a logprob as JSON can hold it: that of what is impossible is OpenAI's -9999."""
    return max(logprob, _IMPOSSIBLE)
