"""Whole answers in the form of OpenAI's API, and what they share with streamed ones."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from ..errors import BusyError, ContextError, PyLlama3Error, WeightsError
from ..foreign import printable
from ..generation.generation import Piece
from ..tokenizer.tokenizer import Tokenizer
from .fields import FieldError
from .protocol import CHAT, Request
from .tools.calls import Call
from .tools.reader import CallReader

_IMPOSSIBLE = -9999.0


def response_body(request: Request, tokenizer: Tokenizer, texts: Sequence[Sequence[Piece]]) -> dict[str, Any]:
    """Return the answer to a request, of whose texts these are all pieces."""
    return {
        **frame(request, chunk=False),
        "choices": [_choice(request, tokenizer, index, pieces) for index, pieces in enumerate(texts)],
        "usage": usage(request, [pieces[-1] for pieces in texts]),
    }


def frame(request: Request, *, chunk: bool) -> dict[str, Any]:
    """Return what all parts of an answer have in common."""
    chat = request.url == CHAT
    return {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}",
        "object": f"chat.completion{'.chunk' if chunk else ''}" if chat else "text_completion",
        "created": int(time.time()),
        "model": request.model,
    }


def usage(request: Request, lasts: Sequence[Piece]) -> dict[str, Any]:
    """Return how many tokens there were, by the last pieces of all texts.

    Those of a prompt count once, however often it is continued.
    """
    prompt_tokens = sum(map(len, request.prompts))
    completion_tokens = sum(last.stats.tokens for last in lasts)
    read = sum(last.stats.prompt_tokens for last in lasts[:: request.count])
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": prompt_tokens - read},
    }


def finish_reason(last: Piece, calls: int = 0) -> str:
    """Return why a text with so many calls ended, in OpenAI's words."""
    if calls:
        return "tool_calls"
    return "stop" if last.stats.finish_reason == "stop" else "length"


def logprobs(request: Request, tokenizer: Tokenizer, pieces: Sequence[Piece], offset: int = 0) -> dict[str, Any] | None:
    """Return the logprobs of some pieces in the form of the request; None if it does not ask for them.

    `offset` is how many characters came before them.
    """
    if not request.logprobs:
        return None
    shown = [piece for piece in pieces if piece.id not in tokenizer.stop_ids]
    if request.url == CHAT:
        return {"content": _chat_logprobs(tokenizer, shown)}
    return _text_logprobs(tokenizer, shown, offset)


def tool_call(call: Call) -> dict[str, Any]:
    """Return a call in OpenAI's form."""
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}


def error_body(error: Exception) -> dict[str, Any]:
    """Return the answer to a request that is refused, or that cannot be answered by a fault of ours."""
    known = isinstance(error, PyLlama3Error)
    message = str(error) if known else printable(f"internal error: {error.__class__.__name__}: {error}")
    kind = "invalid_request_error" if error_status(error) < 500 else "server_error"
    param = error.field if isinstance(error, FieldError) else None
    code = "context_length_exceeded" if isinstance(error, ContextError) else None
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_status(error: Exception) -> int:
    """Return the HTTP status of an answer that is an error."""
    if isinstance(error, BusyError):
        return 503
    return 400 if isinstance(error, PyLlama3Error) and not isinstance(error, WeightsError) else 500


def _choice(request: Request, tokenizer: Tokenizer, index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
    text = "".join(piece.text for piece in pieces)
    choice: dict[str, Any] = {"index": index, "finish_reason": finish_reason(pieces[-1])}
    if request.tools is not None:
        reader = CallReader(request.tools.schemas, several=request.tools.several)
        found = [*reader.feed(text), *reader.flush()]
        calls = [item for item in found if isinstance(item, Call)]
        content = "".join(item for item in found if isinstance(item, str))
        choice["message"] = {"role": "assistant", "content": content if content or not calls else None}
        if calls:
            choice["message"]["tool_calls"] = [tool_call(call) for call in calls]
            choice["finish_reason"] = finish_reason(pieces[-1], len(calls))
    elif request.url == CHAT:
        choice["message"] = {"role": "assistant", "content": text}
    else:
        choice["text"] = request.echo[index // request.count] + text
    choice["logprobs"] = logprobs(request, tokenizer, pieces)
    if request.return_token_ids:
        choice["prompt_token_ids"] = request.prompts[index // request.count]
        choice["token_ids"] = [piece.id for piece in pieces]
    return choice


def _chat_logprobs(tokenizer: Tokenizer, pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    def entry(id: int, logprob: float) -> dict[str, Any]:
        bytes = list(tokenizer.token_bytes(id))
        return {"token": _name(tokenizer, id), "logprob": _finite(logprob), "bytes": bytes}

    return [
        {**entry(piece.id, piece.logprob), "top_logprobs": [entry(*top) for top in piece.top_logprobs]}
        for piece in pieces
    ]


def _text_logprobs(tokenizer: Tokenizer, pieces: Sequence[Piece], offset: int) -> dict[str, Any]:
    offsets = [offset]
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
