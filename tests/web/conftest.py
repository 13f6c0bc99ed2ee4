"""The site, and a browser that opens it.

The page is driven by playwright in the Chromium of the system; what is missing is told, and the tests are skipped.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from engines import built_engine
from paths import ROOT
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3 import Llama
from pyllama3.backends import is_built
from pyllama3.site import make_server
from tools.c_compilers import find_zig
from tools.web.site import SOURCES, build_site

TEMPLATE = (
    "{%- for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>' }}"
    "{{ message['content'] + eos_token }}{% endfor %}{{ '<|start_header_id|>' -}}"
)
"""Trims nothing: random models write control characters, which are blanks to Python and not to JavaScript."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the site."""
    if not is_built("wasm", ROOT / "build") and find_zig() is None:
        pytest.skip("needs the engine as WebAssembly: pip install 'pyllama3[zig]'")
    if not (SOURCES / "node_modules").is_dir() and shutil.which("npm") is None:
        pytest.skip("needs npm: apt install npm")
    folder = tmp_path_factory.mktemp("site")
    build_site(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with room for a few sentences."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    config = tiny_config(context=512)
    write_gguf(path, config, random_tensors(config, 6), chat_template=TEMPLATE)
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser, for a module: as long as it is there, the thread has an event loop, and others cannot begin one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'pyllama3[browser]'")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs Chromium: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


_RECORD = """
window.tokens = [];
window.results = [];
window.Worker = class extends Worker {
  constructor(address) {
    super(address);
    this.addEventListener("message", ({ data: { event, result } }) => {
      if (result) results.push(result);
      if (event?.read !== undefined) tokens.length = 0;
      if (event?.id !== undefined) tokens.push(event.id);
      if (tokens.length === window.stopAfter) document.getElementById("stop").click();
      if (tokens.length === window.dropAfter) {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(window.dropped);
        window.dispatchEvent(new DragEvent("drop", { dataTransfer }));
      }
    });
  }
};
"""
"""Lets tests see the tokens of the last answer and the results of the worker, and stop or drop a file in time."""


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open an address in a visitor's browser, which forgets everything after the test; no script may complain."""
    complaints: list[str] = []
    contexts = []

    def open_address(address: str, **options: Any) -> Any:
        if not contexts:
            contexts.append(chromium.new_context(**options))
        page = contexts[0].new_page()
        page.set_default_timeout(120_000)  # a machine may be busy
        page.add_init_script(_RECORD)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield open_address
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def serve(site: Path) -> Iterator[Callable[[Path], str]]:
    """Serve the site with a model, and return the address."""
    servers = []

    def start(model: Path) -> str:
        server = make_server(site, model, "127.0.0.1", 0)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def load_host() -> Iterator[Callable[[Path], Llama]]:
    """Load a model into the host, with the engine that the page has."""
    built_engine("wasm")
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(Llama.load(path, backend="wasm"))
