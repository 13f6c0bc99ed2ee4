"""The page to chat in, used in a headless Chromium as a person would use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import serving
from tabs import Tab, tab
from tiny_models import write_tiny

from pyllama3 import Llama
from pyllama3.server.http.page import FILES, FOLDER

httpx = pytest.importorskip("httpx", reason="needs pip install httpx")

CONTEXT = 192
LONGEST = 65536
WITHOUT_END = dict.fromkeys(range(269, 288), -100)

ANSWERED = "document.querySelector('#stop').hidden && document.querySelectorAll('.under').length"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("random") / "m.gguf", context=LONGEST, layers=1)


@pytest.fixture(scope="module")
def url(path: Path) -> Iterator[str]:
    with serving(Llama.load(path, context=CONTEXT), logit_bias=WITHOUT_END) as url:
        yield url


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Tab]:
    with tab(tmp_path) as page:
        yield page
        assert page.complaints == []


def choose(page: Tab, name: str, value: str) -> None:
    """Fill in a setting."""
    field = f"document.getElementById({json.dumps(name)})"
    page.run(f"{field}.value = {json.dumps(value)}, {field}.dispatchEvent(new Event('input', {{bubbles: true}}))")


def chips(page: Tab) -> list[str]:
    return list(page.run("[...document.querySelectorAll('.tokens button')].map(chip => chip.title.split(/[ ,]/)[1])"))


def test_a_conversation(page: Tab, url: str) -> None:
    page.open(f"{url}/")
    page.wait("document.querySelector('#model').textContent === 'tiny'")
    page.type("hello")
    page.press("Enter", shift=True)
    page.type("world")
    page.press("Enter")
    page.wait(ANSWERED)
    assert page.run("document.querySelector('article.user').textContent") == "hello\nworld"
    assert page.run("document.querySelector('#text').value") == ""
    assert "written" in page.text(".under")
    answer = page.text("article.assistant")
    page.open(f"{url}/")
    page.wait("document.querySelector('article')")
    assert page.text("article.assistant") == answer
    # the context is full: the server says so, and what was typed is not lost
    page.type("and now?")
    page.press("Enter")
    page.wait("!document.querySelector('#error').hidden")
    assert page.text("#error").endswith(f"do not fit into the context of {CONTEXT}")
    assert page.run("document.querySelector('#text').value") == "and now?"
    assert page.run("document.querySelectorAll('article').length") == 2
    page.complaints = [text for text in page.complaints if "status of 400" not in text]
    page.click("#new")
    assert page.run("document.querySelectorAll('article').length") == 0
    assert {request.split("/")[2] for request in page.requests} == {url.split("/")[2]}


def test_stop(page: Tab, path: Path) -> None:
    llm = Llama.load(path, context=LONGEST)
    with serving(llm, parallel=1, logit_bias=WITHOUT_END) as url:
        page.open(f"{url}/")
        page.type("hello")
        page.press("Enter")
        page.wait("document.querySelector('article.assistant')?.textContent.length > 40")
        page.click("#stop")
        page.wait(ANSWERED)
        assert page.text(".under").startswith("stopped after ")
        while httpx.get(f"{url}/health").json()["running"]:
            pass


def test_why_a_token_was_chosen_and_another_one(page: Tab, url: str) -> None:
    page.open(f"{url}/")
    choose(page, "seed", "11")
    choose(page, "temperature", "1.5")
    page.run("document.querySelector('#text').focus()")
    page.type("hello")
    page.press("Enter")
    page.wait(ANSWERED)
    page.click(".under button")
    before = chips(page)
    options = {"seed": 11, "temperature": 1.5, "return_token_ids": True}
    body = {"messages": [{"role": "user", "content": "hello"}], **options}
    (whole,) = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).json()["choices"]
    assert before == list(map(str, whole["token_ids"]))
    page.click(".tokens button", 9)
    page.wait("document.querySelector('.steps')")
    asked = {"prompt": whole["prompt_token_ids"], "answer": whole["token_ids"][:9], "seed": 11, "temperature": 1.5}
    why = httpx.post(f"{url}/why", json=asked).json()
    assert why["chosen"]["id"] == whole["token_ids"][9]
    assert why["begin"] <= why["random"] < why["end"]
    assert page.run("document.querySelectorAll('.steps table').length") == len(why["steps"])
    assert page.run("document.querySelectorAll('.steps tr.chosen').length") >= 1
    other = next(one for one in why["steps"][0]["best"] if one["id"] != why["chosen"]["id"])
    page.click(".steps table:first-child button:not(:disabled)")
    page.wait("!document.querySelector('.token-view')")
    page.wait(ANSWERED)
    page.click(".under button")
    after = chips(page)
    prompt = [*whole["prompt_token_ids"], *whole["token_ids"][:9], other["id"]]
    body = {"prompt": prompt, **options}
    (continued,) = httpx.post(f"{url}/v1/completions", json=body, timeout=60).json()["choices"]
    assert after == [*before[:9], str(other["id"]), *map(str, continued["token_ids"])]
    page.click(".tokens button", 9)
    page.wait("document.querySelector('.why').textContent.includes('You have chosen')")
    page.click(".tokens button", 12)
    page.wait("document.querySelector('.steps .chosen')")


def test_the_full_explanation(page: Tab, url: str) -> None:
    page.open(f"{url}/")
    choose(page, "temperature", "0")
    page.run("document.querySelector('#text').focus()")
    page.type("hello")
    page.press("Enter")
    page.wait(ANSWERED)
    page.click(".under button")
    page.click(".tokens button", 2)
    page.wait("document.querySelector('.why p button')")
    page.click(".why p button")
    page.wait("document.querySelector('.why a')")
    page.open(page.run("document.querySelector('.why a').href"))
    assert page.run("document.querySelectorAll('#lens tr').length") == 2  # the embedding, and one layer


def test_markdown_of_a_model_is_safe(page: Tab, url: str) -> None:
    hostile = [
        "<img src=x onerror='document.title = 1'>",
        "<script>document.title = 2</script>",
        "[a](javascript:document.title=3)",
        "![b](https://evil.example/?secret)",
        "**bold** and `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |",
    ]
    messages = [{"role": "assistant", "content": "\n\n".join(hostile), "under": "1 token"}]
    page.open(f"{url}/page/markdown-it/LICENSE")  # of the same origin
    page.run(f"localStorage.setItem('pyllama3.chat', JSON.stringify({{messages: {json.dumps(messages)}}}))")
    page.open(f"{url}/")
    page.wait("document.querySelector('.content strong')")
    assert page.run("document.querySelectorAll('.content img, .content script').length") == 0
    links = page.run("[...document.querySelectorAll('.content a')].map(link => `${link.rel} ${link.href}`)")
    assert links == ["noopener noreferrer https://evil.example/?secret"]
    assert page.run("document.querySelectorAll('.content td').length") == 2
    assert page.run("document.title") == "pyllama3"
    assert not any("evil" in request for request in page.requests)


def test_the_key_is_asked_for(page: Tab, path: Path) -> None:
    with serving(Llama.load(path, context=CONTEXT), api_key="secret") as url:
        page.open(f"{url}/")
        page.wait("document.activeElement.id === 'key'")
        assert "API key" in page.text("#error")
        page.type("secret")
        page.run("document.querySelector('#key').dispatchEvent(new Event('change'))")
        page.wait("document.querySelector('#model').textContent === 'tiny'")
        assert page.run("document.querySelector('#error').hidden")
        assert "secret" not in page.run("localStorage.getItem('pyllama3.chat')")
    page.complaints = [text for text in page.complaints if "status of 401" not in text]


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_width_is_too_narrow(page: Tab, url: str, width: int, dark: bool) -> None:
    page.open(f"{url}/", width=width, dark=dark)
    page.run("document.querySelector('#text').focus()")
    page.type("w" * 60)
    page.press("Enter")
    page.wait(ANSWERED)
    page.click("#settings-shown")
    page.click(".under button")
    page.click(".tokens button", 1)
    page.wait("document.querySelector('.steps')")
    assert page.overflow() <= 0
    for part in ("#messages", ".why", ".tokens"):
        assert page.run(f"document.querySelector('{part}').scrollWidth <= document.querySelector('{part}').clientWidth")
    background = page.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(22, 24, 28)") == dark


@pytest.mark.parametrize("repeat_prompt", [False, True])
def test_each_token_is_the_one_that_was_chosen(path: Path, repeat_prompt: bool) -> None:
    """With penalties, for which it matters what counts as recent."""
    defaults = {"repeat_penalty": 1.8, "repeat_prompt": repeat_prompt, "logit_bias": WITHOUT_END}
    sampling = {"seed": 3, "temperature": 0.7}
    with serving(Llama.load(path, context=CONTEXT), **defaults) as url:
        body = {"prompt": [1, 2, 3, 40, 41, 42] * 4, "max_tokens": 40, **sampling, "return_token_ids": True}
        (answer,) = httpx.post(f"{url}/v1/completions", json=body, timeout=60).json()["choices"]
        for at, id in enumerate(answer["token_ids"]):
            asked = {"prompt": answer["prompt_token_ids"], "answer": answer["token_ids"][:at], **sampling}
            why = httpx.post(f"{url}/why", json=asked).json()
            assert why["chosen"]["id"] == id
            assert why["begin"] <= why["random"] < why["end"]


def test_files(url: str) -> None:
    for name in FILES:
        response = httpx.get(f"{url}/page/{name}")
        assert response.content == (FOLDER / name).read_bytes()
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
    assert {file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*.*") if file.is_file()} <= FILES.keys()
    assert httpx.get(f"{url}/page/../worker.py").status_code == 404


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt": [1], "answer": [], "temperature": 1}, "seed is missing"),
        ({"prompt": [1], "answer": ["a"]}, "answer is to be an array of token ids"),
        ({"prompt": [1], "answer": [], "stop": "a"}, "unsupported field: stop"),
        ({"prompt": [], "answer": []}, "there are no tokens to feed"),
    ],
)
def test_questions_that_are_refused(url: str, body: dict[str, Any], message: str) -> None:
    response = httpx.post(f"{url}/why", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(message)


def test_a_prompt_that_is_too_long_to_explain(url: str) -> None:
    response = httpx.post(f"{url}/explain", json={"prompt": [1] * 150, "answer": []})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")
