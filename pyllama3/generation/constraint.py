"""Constrained output: which tokens may come next so that a text fits a regular expression or a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import instance, mapping, text
from ..errors import OptionError
from ..tokenizer.tokenizer import Tokenizer

_COMPACT = {"whitespace_pattern": r"[\n ]{0,8}"}
"""Whitespace between the parts of JSON: enough to indent, too little for a model to get lost in."""


@dataclass(frozen=True)
class Grammar:
    """What a text has to look like, in the notation of llguidance; made by the functions of this module."""

    source: str


def json_object() -> Grammar:
    """Return the grammar of any JSON object.

    Raises:
        OptionError: llguidance is not installed.
    """
    return json_schema({"type": "object"})


def json_schema(schema: Mapping[str, Any] | str) -> Grammar:
    """Return the grammar of the JSON values that a JSON schema allows.

    Raises:
        OptionError: the schema is not JSON, uses what llguidance does not support, or that is not installed.
    """
    llguidance = _llguidance()
    try:
        is_text = isinstance(schema, str)
        json_text = schema if is_text else json.dumps(dict(mapping("the schema", schema, "a JSON schema")))
        source = llguidance.LLMatcher.grammar_from_json_schema(json_text, defaults=_COMPACT)
    except (ValueError, TypeError, RecursionError) as error:
        raise OptionError(f"JSON schema: {_one_line(str(error))}") from None
    return _checked(source, "JSON schema")


def regex(pattern: str) -> Grammar:
    """Return the grammar of the texts that match a regular expression (of Rust's crate `regex`) as a whole.

    Raises:
        OptionError: the expression is damaged, or llguidance is not installed.
    """
    what = f"regular expression {text('the pattern', pattern)!r:.300}"
    try:
        return _checked(_llguidance().LLMatcher.grammar_from_regex(pattern), what)
    except UnicodeEncodeError:
        raise OptionError(f"{what}: not UTF-8 text") from None


def function_call(
    functions: Mapping[str, Mapping[str, Any]], arguments: str, *, or_schema: Mapping[str, Any] | None = None
) -> Grammar:
    """Return the grammar of {"name": ..., `arguments`: {...}} for functions and the JSON schemas of their arguments.

    With `or_schema`, values that this schema allows are fine as well.

    Raises:
        OptionError: see `json_schema`.
    """
    rules = []
    for number, (name, schema) in enumerate(functions.items()):
        beginning = json.dumps(json.dumps({"name": name, arguments: 0}).removesuffix("0}"))
        rules.append(f'call{number}: {beginning} arguments{number} "}}"')
        rules.append(f"arguments{number}: %json {_compact(schema)}")
    starts = [f"call{number}" for number in range(len(functions))]
    if or_schema is not None:
        starts.append("answer")
        rules.append(f"answer: %json {_compact(or_schema)}")
    text = "\n".join([f"start: {' | '.join(starts)}", *rules])
    try:
        return _checked(_llguidance().LLMatcher.grammar_from_lark(text), "JSON schema of a function")
    except (ValueError, RecursionError) as error:
        raise OptionError(f"JSON schema of a function: {_one_line(str(error))}") from None


def _compact(schema: Mapping[str, Any]) -> str:
    return json.dumps({**schema, "x-guidance": _COMPACT})


class GrammarCompiler:
    """Makes constraints for one vocabulary. It may be used by several threads."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        """Sort the vocabulary, which takes a moment.

        Raises:
            OptionError: llguidance is not installed, or the model has no token that ends a text.
        """
        llguidance = _llguidance()
        if not tokenizer.stop_ids:
            raise OptionError("constrained output needs a model with a token that ends a text")
        self.vocab_size = vocab_size
        stops = sorted(tokenizer.stop_ids)
        wrapper = llguidance.TokenizerWrapper(_Vocabulary(tokenizer, stops[0]))
        self._tokenizer = llguidance.LLTokenizer(wrapper, n_vocab=vocab_size, eos_token=stops)
        self._new_matcher = llguidance.LLMatcher

    def constraint(self, grammar: Grammar) -> Constraint:
        """Return a constraint for a text that has not begun.

        Raises:
            OptionError: the grammar is too large for this vocabulary.
        """
        source = instance("the grammar", grammar, Grammar, "what json_schema, json_object or regex returns").source
        return Constraint(self._new_matcher(self._tokenizer, source, log_level=0), self.vocab_size)


class Constraint:
    """How far a text has come in its grammar."""

    def __init__(self, matcher: Any, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size
        self._check()

    def allowed(self) -> NDArray[np.bool_]:
        """Return which tokens may come next (vocab_size,); at least one, which may be one that ends the text.

        Raises:
            OptionError: the grammar is too complex.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        return np.unpackbits(bits, count=self._vocab_size, bitorder="little").astype(np.bool_)

    def accept(self, id: int) -> None:
        """Append an allowed token to the text."""
        self._matcher.consume_token(id)

    def _check(self) -> None:
        if self._matcher.is_error():
            raise OptionError(f"constrained output: {_one_line(self._matcher.get_error())}")


class _Vocabulary:
    """What llguidance wants to know about a vocabulary."""

    def __init__(self, tokenizer: Tokenizer, eos_id: int) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = eos_id
        self.bos_token_id = tokenizer.bos_id
        self.tokens = [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)]
        self.special_token_ids = [id for id in range(tokenizer.vocab_size) if tokenizer.is_special(id)]

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, continues=True)


def _llguidance() -> Any:
    try:
        import llguidance
    except ImportError:
        raise OptionError(
            "constrained output needs llguidance; install it with: pip install 'pyllama3[constrained]'"
        ) from None
    return llguidance


def _checked(source: str, what: str) -> Grammar:
    error = _llguidance().LLMatcher.validate_grammar(source)
    if error and not error.startswith("WARNING"):
        raise OptionError(f"{what}: {_one_line(error)}")
    return Grammar(source)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300] or "not supported"
