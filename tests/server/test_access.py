"""Who may ask: keys, names of hosts, and origins of pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from servers import serving
from tiny_models import write_tiny

from pyllama3 import Llama
from pyllama3.server.http.guard import Access

httpx = pytest.importorskip("httpx", reason="needs pip install httpx")

KEY = "a secret: \u00e9"


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    return Llama.load(write_tiny(tmp_path_factory.mktemp("random") / "m.gguf", layers=1))


@pytest.fixture(scope="module")
def client(llm: Llama) -> Iterator[Any]:
    with serving(llm, hosts=("box",), origins=("https://mine.example",)) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture(scope="module")
def locked(llm: Llama) -> Iterator[Any]:
    with serving(llm, api_key=KEY) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "an API key is needed: Authorization: Bearer KEY"),
        ("Bearer wrong", "the API key is wrong"),
        (f"Basic {KEY}", "the API key is wrong"),
        (KEY, "the API key is wrong"),
    ],
)
def test_without_the_key(locked: Any, given: str | None, message: str) -> None:
    headers = {} if given is None else {"Authorization": given.encode()}
    for path in ("/v1/models", "/metrics", "/nope"):
        response = locked.get(path, headers=headers)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        error = response.json()["error"]
        assert (error["message"], error["code"]) == (message, "invalid_api_key")


def test_with_the_key(locked: Any) -> None:
    assert locked.get("/v1/models", headers={"Authorization": f"Bearer {KEY}".encode()}).status_code == 200
    assert locked.get("/health").status_code == 200


def test_a_preflight_needs_no_key(locked: Any) -> None:
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    response = locked.options("/v1/chat/completions", headers={"Origin": "http://localhost:3000", **asking})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "authorization" in response.headers["access-control-allow-headers"]
    refused = locked.get("/v1/models", headers={"Origin": "http://localhost:3000"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "http://localhost:3000")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("https://127.0.0.1", 200),
        ("http://[::1]:5173", 200),
        ("https://mine.example", 200),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("http://localhost@evil.example", 403),
        ("null", 403),
    ],
)
def test_origins(client: Any, origin: str, status: int) -> None:
    response = client.get("/v1/models", headers={"Origin": origin})
    assert response.status_code == status
    assert response.headers.get("access-control-allow-origin") == (origin if status == 200 else None)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LocalHost.:8080", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("192.168.1.2", 200),
        ("box:8080", 200),
        ("evil.example", 403),
        ("localhost.evil.example:8080", 403),
        ("localhost@evil.example", 403),
        ("[::1].evil.example", 403),
        ("", 403),
    ],
)
def test_hosts(client: Any, host: str, status: int) -> None:
    """A page of others can lead its own name to our address, but cannot send another name than its own."""
    response = client.get("/v1/models", headers={"Host": host})
    assert response.status_code == status
    if status == 403:
        assert response.json()["error"]["message"].endswith("is not known here; --allow-host adds a name")


def test_pages_of_the_server_itself() -> None:
    access = Access(api_key=None, hosts=("box",), origins=())
    assert access.takes_origin("http://box:8080", "box:8080")
    assert not access.takes_origin("http://box:8080", "box:9090")


def test_any_host_with_a_key(locked: Any) -> None:
    headers = {"Host": "evil.example", "Authorization": f"Bearer {KEY}".encode()}
    assert locked.get("/v1/models", headers=headers).status_code == 200


def test_any_origin(llm: Llama) -> None:
    with serving(llm, origins=("*",)) as url:
        response = httpx.get(f"{url}/v1/models", headers={"Origin": "https://any.example"})
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, "*")
