"""Files that comments and pages name are there; the witness is the tree itself.

To add a case: a form of citation in `CITATION`. Files of other projects are cited with their repository in front.
"""

from __future__ import annotations

import ast
import re
from io import StringIO
from pathlib import Path
from tokenize import COMMENT, generate_tokens

import pytest
from paths import ROOT

FOLDERS = ("pyllama3", "src", "tools", "tests", "benchmarks", "pyfut", "docs")
CITATION = re.compile(
    r"(?<![\w/.*-])(?:"
    r"(?:pyllama3|src|tools|tests|benchmarks|pyfut)/[\w./-]+\.(?:py|fu|md|txt|json)(?:\.jinja)?|test_\w+\.py|[\w-]+\.md"
    r")\b"
)
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
FILES += [path for path in ROOT.iterdir() if path.is_file()]
NAMES = {path.relative_to(ROOT).as_posix() for path in FILES}
TEXTS = [path for path in FILES if path.suffix in (".py", ".fu", ".md") and path != Path(__file__)]


def test_citations_are_recognized() -> None:
    text = "facts.md 2, tests/a/test_b.py (test_c.py), ggml-org/ggml, docs/gguf.md, build/llama3.py, *.md"
    assert CITATION.findall(text) == ["facts.md", "tests/a/test_b.py", "test_c.py"]


def prose_of(path: Path) -> str:
    """Return a page, or the strings that stand alone in Python (docstrings above all) and its comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    statements = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Expr)]
    parts = [node.value for node in statements if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    parts += [token.string for token in generate_tokens(StringIO(text).readline) if token.type == COMMENT]
    return "\n".join(parts)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_cited_is_there(path: Path) -> None:
    cited = set(CITATION.findall(prose_of(path)))
    missing = {name for name in cited if name not in NAMES and not any(file.endswith(f"/{name}") for file in NAMES)}
    assert not missing
