"""The page to chat in, and what it asks about the tokens of an answer."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..service import Service
from ..why import explain_whole, looking, read_question, why_body
from .answering import Texts, while_connected
from .bodies import read_json
from .errors import HttpError, error_response, json_response

FOLDER = Path(__file__).parents[1] / "page"
FILES = {
    "index.html": "text/html",
    "chat.css": "text/css",
    "chat.js": "text/javascript",
    "api.js": "text/javascript",
    "tokens.js": "text/javascript",
    "markdown-it/markdown-it.umd.min.js": "text/javascript",
    "markdown-it/LICENSE": "text/plain",
}
OPEN_PATHS = ("/page/", "/explanations/")
"""What begins so needs no key: the page asks for it, and explanations have names that nobody can guess."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_MOST_PAGES = 8
"""Explanations that are kept; each has some hundred KB."""


def page_routes() -> list[Route]:
    """Return the routes of the files."""
    return [Route("/", _file), Route("/page/{name:path}", _file)]


async def _file(request: Request) -> Response:
    name = request.path_params.get("name", "index.html")
    if name not in FILES:
        return error_response(HttpError(404, f"/page/{name:.100}: there is no such file"))
    data = await asyncio.to_thread((FOLDER / name).read_bytes)
    return Response(data, headers=_HEADERS, media_type=FILES[name])


async def _why(service: Service, request: Request) -> Response:
    question = read_question(await read_json(request), service.defaults)
    generation = looking(service.llm, question)
    with Texts(service, [generation]) as texts:
        await while_connected(request, texts.all())
    return json_response(await asyncio.to_thread(why_body, service.llm, question, generation))


async def _explain(service: Service, request: Request) -> Response:
    question = read_question(await read_json(request), service.defaults)
    async with service.explaining:
        text = await asyncio.to_thread(explain_whole, service.llm, question)
    name = secrets.token_urlsafe(16)
    service.explanations[name] = text
    while len(service.explanations) > _MOST_PAGES:
        del service.explanations[next(iter(service.explanations))]
    return json_response({"url": f"/explanations/{name}"})


async def _explanation(service: Service, request: Request) -> Response:
    text = service.explanations.get(request.path_params["name"])
    if text is None:
        raise HttpError(404, "this explanation is not kept any more")
    headers = {"Content-Security-Policy": "frame-ancestors 'none'", "Referrer-Policy": "no-referrer"}
    return Response(text.encode(), headers=headers, media_type="text/html")


ENDPOINTS: tuple[tuple[str, str, Callable[[Service, Request], Awaitable[Response]]], ...] = (
    ("POST", "/why", _why),
    ("POST", "/explain", _explain),
    ("GET", "/explanations/{name}", _explanation),
)
