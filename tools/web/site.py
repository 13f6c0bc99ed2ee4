"""The site as one file, which works on any server, under any path, and opened from a disk."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path

import jinja2

from tools.build_engine import build as build_engine
from tools.running import ROOT, BuildError, Say, run_or_fail, shown, tell

from .facts import read_facts
from .modules import join_modules

SOURCES = ROOT / "web"
ENGINE = ROOT / "build" / "wasm32"
THREADED = ROOT / "build" / "wasm32-threads"


def build_site(out: Path, say: Say = tell) -> None:
    """Build the engine for WebAssembly, without and with threads, and the site with both inside.

    Raises:
        BuildError: a compiler or npm is missing or fails, or a source is not what it should be.
    """
    for folder in (ENGINE, THREADED):
        build_engine(folder, target=folder.name, say=say)
    _install_packages()
    facts = read_facts(ENGINE / "llama3.h")
    style, page = _inline(SOURCES / "style.css"), _without_tags(join_modules(SOURCES / "page.js"), "page.js")
    text = jinja2.Template((SOURCES / "index.html").read_text(encoding="utf-8"), keep_trailing_newline=True).render(
        policy=_policy(style, page),
        style=style,
        facts=json.dumps(facts).replace("<", "\\u003c"),
        wasm=_packed(ENGINE / "llama3.wasm"),
        wasm_threads=_packed(THREADED / "llama3.wasm"),
        worker=_without_tags(join_modules(SOURCES / "worker.js"), "worker.js"),
        page=page,
    )
    out.mkdir(parents=True, exist_ok=True)
    index = out / "index.html"
    index.write_text(text, encoding="utf-8")
    say(f"{shown(index)}: {len(text) // 1000} KB, with the engine")


def _install_packages() -> None:
    """Have npm install what web/package-lock.json names, unless that is there."""
    lock = SOURCES / "package-lock.json"
    installed = SOURCES / "node_modules" / ".package-lock.json"
    if installed.is_file() and _versions(installed) == _versions(lock):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError("npm is not on the PATH; it gets the packages of web/package.json: apt install npm")
    run_or_fail([npm, "ci", "--prefix", str(SOURCES), "--no-audit", "--no-fund", "--ignore-scripts"], "npm ci")


def _versions(lock: Path) -> dict[str, str]:
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {name: package["integrity"] for name, package in packages.items() if name}


def _packed(path: Path) -> str:
    """Return a file as text: compressed, the same at each build, in base64."""
    return base64.b64encode(gzip.compress(path.read_bytes(), mtime=0)).decode()


def _inline(path: Path) -> str:
    return _without_tags(path.read_text(encoding="utf-8"), path.name)


def _without_tags(text: str, name: str) -> str:
    """Return a text that is put into an element as it is.

    Raises:
        BuildError: it would end the element.
    """
    if found := re.search(r"</(script|style)|<!--", text, re.IGNORECASE):
        raise BuildError(f"{name}: '{found[0]}' cannot stand inside an element of a page")
    return text


def _policy(style: str, page: str) -> str:
    """Return a content security policy: this style, this script, and no other server."""
    style_hash, page_hash = (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in (style, page)
    )
    return (
        f"default-src 'none'; style-src {style_hash}; script-src {page_hash} 'wasm-unsafe-eval'; "
        "worker-src blob:; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
    )
