"""OpenAI's newer form of chats, /v1/responses: texts, whole and streamed, without anything kept between requests."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..generation.generation import Piece
from ..model import Llama
from .answers import usage
from .fields import ARRAY, INTEGER, OBJECT, STRING, FieldError, find, get
from .protocol import CHAT, IGNORED, Request, read_fields, read_request

_PASSED_ON = {"temperature", "top_p", "top_k", "min_p", "seed", "stop", "logit_bias", "model", "stream"}
_FIELDS = {*_PASSED_ON, "input", "instructions", "max_output_tokens", "text"}
_IGNORED = {*IGNORED, "reasoning", "parallel_tool_calls", "stream_options", "tool_choice"}
"""Fields that change nothing without functions and thoughts."""
_FIXED = {"truncation": "disabled", "background": False, "include": [], "tools": [], "top_logprobs": 0}
"""Fields of which only these values are supported."""
_TEXT_PARTS = ("input_text", "output_text", "text")


@dataclass(frozen=True, kw_only=True)
class ResponseRequest:
    """What a request asks for."""

    chat: Request
    """The same as a chat."""
    echoed: Mapping[str, Any]
    """Fields that the answer repeats."""


def read_response_request(llm: Llama, body: Any, defaults: Mapping[str, Any]) -> ResponseRequest:
    """Translate the body of a request.

    Raises:
        PyLlama3Error: see `read_request`.
    """
    fields = read_fields(body, _FIELDS, ignored=_IGNORED, fixed=_FIXED)
    instructions = find(fields, "instructions", STRING)
    system = [] if instructions is None else [{"role": "system", "content": instructions}]
    text = find(fields, "text", OBJECT, {})
    format = find(text, "format", OBJECT, {"type": "text"})
    chat = {name: fields[name] for name in _PASSED_ON & fields.keys()}
    chat["messages"] = [*system, *_messages(fields.get("input"))]
    chat["response_format"] = {"type": "json_schema", "json_schema": format} if "schema" in format else format
    chat["max_completion_tokens"] = find(fields, "max_output_tokens", INTEGER)
    request = read_request(llm, CHAT, chat, defaults)
    echoed = {
        "instructions": instructions,
        "max_output_tokens": chat["max_completion_tokens"],
        "temperature": request.options.get("temperature"),
        "top_p": request.options.get("top_p"),
        "text": {"format": format},
        "metadata": body.get("metadata") or {},
    }
    return ResponseRequest(chat=request, echoed=echoed)


class ResponseWriter:
    """Makes the answer to one request, whole or as events."""

    def __init__(self, request: ResponseRequest, model: str) -> None:
        self._request = request
        self._id = f"resp_{uuid.uuid4().hex}"
        self._item_id = f"msg_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = model
        self._text = ""
        self._last: Piece | None = None
        self._number = 0

    def whole(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        """Return the whole answer, of which these are all pieces."""
        for piece in pieces:
            self._take(piece)
        return self._response(self._status())

    def begin(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the names and the data of the events before the first piece."""
        yield self._event("response.created", response=self._response("in_progress"))
        yield self._event("response.in_progress", response=self._response("in_progress"))
        yield self._event("response.output_item.added", output_index=0, item=self._item("in_progress", []))
        yield self._event("response.content_part.added", **self._place(), part=_part(""))

    def piece(self, piece: Piece) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the events of a piece."""
        self._take(piece)
        if piece.text:
            yield self._event("response.output_text.delta", **self._place(), delta=piece.text, logprobs=[])

    def end(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the events after the last piece."""
        text, status = self._text, self._status()
        yield self._event("response.output_text.done", **self._place(), text=text, logprobs=[])
        yield self._event("response.content_part.done", **self._place(), part=_part(text))
        yield self._event("response.output_item.done", output_index=0, item=self._item(status, [_part(text)]))
        yield self._event(f"response.{status}", response=self._response(status))

    def _event(self, name: str, **data: Any) -> tuple[str, dict[str, Any]]:
        number = self._number
        self._number += 1
        return name, {"type": name, "sequence_number": number, **data}

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": 0, "content_index": 0}

    def _take(self, piece: Piece) -> None:
        self._text += piece.text
        self._last = piece

    def _status(self) -> str:
        assert self._last is not None
        return "completed" if self._last.stats.finish_reason == "stop" else "incomplete"

    def _item(self, status: str, content: list[Any]) -> dict[str, Any]:
        return {"id": self._item_id, "type": "message", "status": status, "role": "assistant", "content": content}

    def _response(self, status: str) -> dict[str, Any]:
        ended = status != "in_progress"
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "model": self._model,
            "output": [self._item(status, [_part(self._text)])] if ended else [],
            "usage": self._usage() if ended else None,
            "previous_response_id": None,
            "store": False,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "truncation": "disabled",
            **self._request.echoed,
        }

    def _usage(self) -> dict[str, Any]:
        assert self._last is not None
        counts = usage(self._request.chat, [self._last])
        return {
            "input_tokens": counts["prompt_tokens"],
            "input_tokens_details": counts["prompt_tokens_details"],
            "output_tokens": counts["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": counts["total_tokens"],
        }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _messages(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    items = get({} if given is None else {"input": given}, "input", ARRAY)
    return [_message(item) for item in items]


def _message(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict) or item.get("type", "message") != "message":
        raise FieldError("input", f"input has {item!r:.80}; supported: messages")
    content = item.get("content")
    if isinstance(content, list):
        content = [_text_part(part) for part in content]
    return {"role": item.get("role"), "content": content}


def _text_part(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") in _TEXT_PARTS:
        return {"type": "text", "text": part.get("text")}
    return part
