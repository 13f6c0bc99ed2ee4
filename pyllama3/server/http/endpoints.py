"""What each path does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...errors import BusyError
from ...generation.generation import Generation
from .. import protocol
from ..answers import response_body
from ..chunks import ChunkWriter
from ..fields import ARRAY, BOOLEAN, INTEGER, STRING, FieldError, find, get, is_a
from ..metrics import CONTENT_TYPE
from ..responses import ResponseRequest, ResponseWriter, read_response_request
from ..service import Service
from ..tools.choice import read_tools
from . import page
from .answering import ClientGoneError, Texts, while_connected
from .bodies import read_json
from .errors import HttpError, error_response, json_response
from .events import DONE, EventStream, event

_Handler = Callable[[Service, Request], Awaitable[Response]]
_CLIENT_GONE = 499
"""nginx's status for requests whose client has left: for the counters, nobody gets it."""


class Serving:
    """What the endpoints need: a service, as soon as its model has been loaded."""

    def __init__(self) -> None:
        self.service: Service | None = None

    def routes(self) -> list[Route]:
        """Return the page and the endpoints, all of which have paths with and without /v1 in front."""
        api = [
            route
            for method, path, handler in (*_ENDPOINTS, *page.ENDPOINTS)
            for route in (
                Route(path, self._endpoint(path, handler), methods=[method]),
                Route(f"/v1{path}", self._endpoint(path, handler), methods=[method]),
            )
        ]
        return [*page.page_routes(), *api]

    def _endpoint(self, path: str, handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            service = self.service
            try:
                if service is None:
                    raise BusyError("the model is being loaded")
                response = await handler(service, request)
            except ClientGoneError:
                response = Response(status_code=_CLIENT_GONE)
            except Exception as error:
                response = error_response(error)
            if service is not None:
                service.metrics.requests.labels(path, response.status_code).inc()
            return response

        return endpoint


async def _health(service: Service, request: Request) -> Response:
    worker = service.worker
    return json_response({"status": "ok", "running": worker.running, "waiting": worker.waiting})


async def _metrics(service: Service, request: Request) -> Response:
    return Response(service.metrics.render(), media_type=CONTENT_TYPE)


async def _models(service: Service, request: Request) -> Response:
    return json_response({"object": "list", "data": [_model(service)]})


async def _one_model(service: Service, request: Request) -> Response:
    id = request.path_params["id"]
    if id != service.name:
        raise HttpError(404, f"model {id:.100} is not here; it is {service.name}", code="model_not_found")
    return json_response(_model(service))


def _model(service: Service) -> dict[str, Any]:
    return {
        "id": service.name,
        "object": "model",
        "created": service.created,
        "owned_by": "pyllama3",
        "max_model_len": service.llm.context,
    }


async def _chat(service: Service, request: Request) -> Response:
    return await _complete(service, protocol.CHAT, request)


async def _completions(service: Service, request: Request) -> Response:
    return await _complete(service, protocol.COMPLETIONS, request)


async def _complete(service: Service, url: str, request: Request) -> Response:
    body = await read_json(request)
    asked, generations = await while_connected(request, asyncio.to_thread(_prepare, service, url, body))
    tokenizer = service.llm.tokenizer
    with ExitStack() as stack:
        texts = stack.enter_context(Texts(service, generations, logprobs=asked.logprobs))
        if asked.stream:
            return EventStream(request, _chunks(texts, ChunkWriter(asked, tokenizer)), stack.pop_all())
        return json_response(response_body(asked, tokenizer, await while_connected(request, texts.all())))


def _prepare(service: Service, url: str, body: Any) -> tuple[protocol.Request, list[Generation]]:
    asked = replace(protocol.read_request(service.llm, url, body, service.defaults), model=service.name)
    generations = [
        service.llm.generation(asked.prompts[index // asked.count], **asked.options_of(index))
        for index in range(asked.texts)
    ]
    return asked, generations


async def _chunks(texts: Texts, writer: ChunkWriter) -> AsyncIterator[bytes]:
    for chunk in writer.begin():
        yield event(chunk)
    async for index, piece in texts.pieces():
        for chunk in writer.piece(index, piece):
            yield event(chunk)
    for chunk in writer.end():
        yield event(chunk)
    yield DONE


async def _responses(service: Service, request: Request) -> Response:
    body = await read_json(request)
    asked, generation = await while_connected(request, asyncio.to_thread(_prepare_response, service, body))
    writer = ResponseWriter(asked, service.name)
    with ExitStack() as stack:
        texts = stack.enter_context(Texts(service, [generation]))
        if asked.chat.stream:
            return EventStream(request, _response_events(texts, writer), stack.pop_all())
        (pieces,) = await while_connected(request, texts.all())
        return json_response(writer.whole(pieces))


def _prepare_response(service: Service, body: Any) -> tuple[ResponseRequest, Generation]:
    asked = read_response_request(service.llm, body, service.defaults)
    return asked, service.llm.generation(asked.chat.prompts[0], **asked.chat.options)


async def _response_events(texts: Texts, writer: ResponseWriter) -> AsyncIterator[bytes]:
    for name, data in writer.begin():
        yield event(data, name=name)
    async for _, piece in texts.pieces():
        for name, data in writer.piece(piece):
            yield event(data, name=name)
    for name, data in writer.end():
        yield event(data, name=name)


async def _tokenize(service: Service, request: Request) -> Response:
    fields = protocol.read_fields(await read_json(request), {"content", "add_special", "parse_special", "model"})
    text = get(fields, "content", STRING)
    special = find(fields, "parse_special", BOOLEAN, True)
    encode = service.llm.encode_prompt if find(fields, "add_special", BOOLEAN, False) else service.llm.tokenizer.encode
    return json_response({"tokens": await asyncio.to_thread(encode, text, special=special)})


async def _detokenize(service: Service, request: Request) -> Response:
    fields = protocol.read_fields(await read_json(request), {"tokens", "model"})
    tokens = get(fields, "tokens", ARRAY)
    if not all(is_a(id, INTEGER) for id in tokens):
        raise FieldError("tokens", "tokens is to be an array of token ids")
    return json_response({"content": await asyncio.to_thread(service.llm.tokenizer.decode, tokens)})


async def _apply_template(service: Service, request: Request) -> Response:
    known = {"messages", "tools", "tool_choice", "model", *protocol.TEMPLATING}
    fields = protocol.read_fields(await read_json(request), known)
    tokens = await asyncio.to_thread(protocol.encode_messages, service.llm, fields, read_tools(fields))
    return json_response({"prompt": service.llm.tokenizer.decode(tokens), "tokens": tokens})


_ENDPOINTS: tuple[tuple[str, str, _Handler], ...] = (
    ("GET", "/health", _health),
    ("GET", "/metrics", _metrics),
    ("GET", "/models", _models),
    ("GET", "/models/{id:path}", _one_model),
    ("POST", "/chat/completions", _chat),
    ("POST", "/completions", _completions),
    ("POST", "/responses", _responses),
    ("POST", "/tokenize", _tokenize),
    ("POST", "/detokenize", _detokenize),
    ("POST", "/apply-template", _apply_template),
)
