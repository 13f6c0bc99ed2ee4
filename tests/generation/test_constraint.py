"""Constrained output: whatever a model would rather say, its text fits the grammar.

The witnesses are `re` and `json`. To add a case: a pattern, or a schema and what its values must be.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_files import vocabulary
from sentence_pieces import TOKENIZER as SENTENCE_PIECES
from tiny_models import write_tiny

from pyllama3 import Llama
from pyllama3.backends import Engine
from pyllama3.errors import OptionError
from pyllama3.generation.constraint import Grammar, GrammarCompiler, json_object, json_schema, regex
from pyllama3.tokenizer.tokenizer import Tokenizer

pytest.importorskip("llguidance", reason="needs the extra 'constrained'")


SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "blue"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
        "ok": {"type": "boolean"},
    },
    "required": ["colour", "count", "ok"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says nothing sensible."""
    return write_tiny(tmp_path_factory.mktemp("random") / "m.gguf", layers=1, context=512)


def speak(llm: Llama, grammar: Grammar, seed: int = 1, **options: Any) -> tuple[str, str | None]:
    pieces = list(llm.generate("x", grammar=grammar, seed=seed, **{"temperature": 2, "max_tokens": 200, **options}))
    return "".join(piece.text for piece in pieces), pieces[-1].stats.finish_reason


@pytest.mark.parametrize("pattern", ["[0-9]{3}-[a-f]+z", "(yes|no)", "é日?🦙", "[日月火水][a-z]{2,5}"])
def test_texts_match_a_regular_expression(engine: Engine, path: Path, pattern: str) -> None:
    llm = Llama.load(path, backend=engine.name)
    for seed in range(2 if engine.name == "python" else 5):
        text, reason = speak(llm, regex(pattern), seed)
        assert reason == "stop"
        assert re.fullmatch(pattern, text)


def test_texts_fit_a_schema(engine: Engine, path: Path) -> None:
    llm = Llama.load(path, backend=engine.name)
    colours = set()
    for seed in range(2 if engine.name == "python" else 8):
        text, reason = speak(llm, json_schema(SCHEMA), seed)
        assert reason == "stop"
        value = json.loads(text)
        assert value.keys() == {"colour", "count", "ok"}
        assert value["colour"] in ("red", "blue")
        assert isinstance(value["ok"], bool)
        assert 0 <= value["count"] <= 99
        colours.add(value["colour"])
    assert engine.name == "python" or colours == {"red", "blue"}  # the model still chooses


def test_any_object_is_one(path: Path) -> None:
    llm = Llama.load(path)
    bias = {'"': 6.0, "}": 9.0}  # else its strings hardly end
    text, reason = speak(llm, json_object(), max_tokens=300, logit_bias=bias)
    assert reason == "stop"
    assert isinstance(json.loads(text), dict)


def test_guesses_and_penalties_respect_the_grammar(path: Path) -> None:
    llm = Llama.load(path)
    plain = speak(llm, regex("(abcd){9}e"), frequency_penalty=3)
    assert plain == ("abcd" * 9 + "e", "stop")
    assert speak(llm, regex("(abcd){9}e"), frequency_penalty=3, lookup=4) == plain


def test_a_grammar_of_which_biases_leave_nothing_is_an_error(path: Path) -> None:
    llm = Llama.load(path)
    with pytest.raises(OptionError, match=r"^no token can come next: the grammar and logit_bias exclude all 288$"):
        speak(llm, regex("(ab)+"), logit_bias={"b": float("-inf")})


def test_both_kinds_of_vocabulary() -> None:
    for tokenizer in (Tokenizer.from_gguf(vocabulary(("<|end_of_text|>",))), SENTENCE_PIECES):
        compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size + 3)
        constraint = compiler.constraint(regex("no( no)*"))
        text = b""
        for _ in range(6):
            allowed = constraint.allowed()
            assert not allowed[tokenizer.vocab_size :].any()  # rows of the model that no token has
            ids = [int(id) for id in np.flatnonzero(allowed) if id not in tokenizer.stop_ids]
            assert all(b"no no no no no".startswith((text + tokenizer.token_bytes(id))[:14]) for id in ids)
            ends = any(allowed[id] for id in tokenizer.stop_ids)
            assert ends == (re.fullmatch(b"no( no)*", text) is not None)
            constraint.accept(ids[0])
            text += tokenizer.token_bytes(ids[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: regex("a("), r"^regular expression 'a\(': .*unclosed group"),
        (lambda: json_schema("{"), "^JSON schema: EOF"),
        (lambda: json_schema({"type": "thing"}), "^JSON schema: Invalid type: thing$"),
        (lambda: json_schema({"$ref": "#/no"}), "^JSON schema: Pointer '/no' does not exist$"),
    ],
)
def test_wrong_grammars_are_refused(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_without_the_library_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(OptionError, match=r"^constrained output needs llguidance; .*pyllama3\[constrained\]'$"):
        regex("a")
