"""The blocks of docs/api.md run, one after the other.

To add a case: a block in docs/api.md, which may use the names of those before it.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT
from tiny_models import random_tensors, tiny_config, write_gguf

import pyllama3

PAGE = ROOT / "docs" / "api.md"


def test_the_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config(layers=1, context=1024)
    write_gguf(tmp_path / "model.gguf", config, random_tensors(config, 1))
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text("utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    assert len(blocks) >= 10
    names: dict[str, Any] = {}
    for block in blocks:
        if "constraint" in block[1] and importlib.util.find_spec("llguidance") is None:
            continue
        line = page[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], str(PAGE), "exec"), names)  # errors name the line of the page


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(pyllama3.__file__).parent / "py.typed").exists()
