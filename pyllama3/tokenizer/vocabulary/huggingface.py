"""Vocabularies in tokenizer.json and the files beside it, as `transformers` reads them.

Byte-level BPE whose pieces regular expressions cut is read into our own form; the library `tokenizers` runs the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import regex

from ...errors import TokenizerError
from .base import BytePairs, LibraryTokenizer, Vocabulary
from .byte_level import GPT2_PATTERN, spelled_out
from .huggingface_added import check_id, read_added_tokens, template_tokens
from .pieces import SPACE, piece_byte, piece_bytes
from .pre_tokenizers import PRE_TOKENIZERS, PreTokenizer
from .stops import find_stop_ids

_CHANGING_OPTIONS = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
"""Options of the model which would make other tokens than byte-level BPE, if they are set."""


def read_huggingface_vocabulary(
    tokenizer: Mapping[str, Any],
    *,
    config: Mapping[str, Any] | None = None,
    added: Mapping[str, Any] | None = None,
    bos: Any,
    eos: Any,
    stop_ids: Any,
    vocab_size: int,
) -> Vocabulary:
    """Make a vocabulary of the contents of tokenizer.json and its neighbours.

    Args:
        tokenizer: contents of tokenizer.json.
        config: contents of tokenizer_config.json.
        added: contents of added_tokens.json.
        bos: token that begins a text: its id, its name, an object with the name as "content", or None.
        eos: token that ends a text, likewise.
        stop_ids: "eos_token_id" of generation_config.json: an id, a list of them, or None.
        vocab_size: rows of the embedding; there may be more tokens, and rows without one.

    Raises:
        TokenizerError: the vocabulary is damaged or of an unsupported kind.
    """
    config = config or {}
    model = tokenizer.get("model")
    if not isinstance(model, dict):
        raise TokenizerError("there is no model")
    ids = _vocabulary_ids(model)
    tokens = read_added_tokens(tokenizer.get("added_tokens"), config, added or {}, ids)
    special = {token.content: token.id for token in tokens.values() if token.special}
    user_defined = {token.content: token.id for token in tokens.values() if not token.special}
    known = ids | special | user_defined
    names, unused = _names_by_id(known, vocab_size)
    literal = frozenset([*special.values(), *user_defined.values(), *unused])
    pre = _find_pre(tokenizer, model)
    if pre is not None:
        merges = _merges(model)
        ignore_merges = model.get("ignore_merges", False) is True
        algorithm: BytePairs | LibraryTokenizer = BytePairs(
            pre=_named(pre, ignore_merges), names=names, merges=merges, ignore_merges=ignore_merges
        )
        texts = spelled_out(names, literal)
    else:
        content = _as_transformers_builds_it(tokenizer, model, config)
        content["added_tokens"] = [token.as_json() for token in sorted(tokens.values(), key=lambda token: token.id)]
        algorithm = LibraryTokenizer(content=content, space_prefix=_strips_a_space(content))
        is_byte_level = _has_step(content.get("decoder"), "ByteLevel")
        texts = spelled_out(names, literal) if is_byte_level else _piece_texts(names, literal)
    assumed: list[str] = []
    bos_id, eos_id = _find_id("BOS", bos, known, assumed), _find_id("EOS", eos, known, assumed)
    stops = stop_ids if isinstance(stop_ids, list) else [stop_ids]
    found_stops = [eos_id, *(_find_id("stop", stop, known, assumed) for stop in stops), *find_stop_ids(special)]
    return Vocabulary(
        tokens=texts,
        special=special,
        user_defined=user_defined,
        algorithm=algorithm,
        bos_id=bos_id,
        eos_id=eos_id,
        add_bos=bos_id is not None and _puts_in_front(tokenizer.get("post_processor"), names[bos_id]),
        stop_ids=frozenset(id for id in found_stops if id is not None and id < vocab_size),
        unused=unused,
        edges={token.content: token.edges for token in tokens.values() if token.edges is not None},
        template_tokens=template_tokens(config),
        assumed=tuple(dict.fromkeys(assumed)),
    )


def is_llama_tokenizer(config: Mapping[str, Any]) -> bool:
    """Tell whether a tokenizer_config.json names the class that always merges pairs, whatever the other files say."""
    return str(config.get("tokenizer_class")).removesuffix("Fast") == "LlamaTokenizer"


def _find_pre(tokenizer: Mapping[str, Any], model: Mapping[str, Any]) -> PreTokenizer | None:
    """Return how text is cut before byte-level BPE; None if this is something else, or cut in another way."""
    if model.get("type", "BPE") != "BPE" or any(model.get(option) for option in _CHANGING_OPTIONS):
        return None
    if tokenizer.get("normalizer") is not None:
        return None
    steps = tokenizer.get("pre_tokenizer")
    if isinstance(steps, dict) and steps.get("type") == "Sequence":
        steps = steps.get("pretokenizers")
    steps = steps if isinstance(steps, list) else [steps]
    patterns = [_pattern(step) for step in steps]
    if not steps or not isinstance(steps[-1], dict) or steps[-1].get("type") != "ByteLevel":
        return None
    found = tuple(pattern for pattern in patterns if pattern)
    return PreTokenizer(patterns=found) if None not in patterns else None


def _pattern(step: Any) -> str | None:
    """Return what a step isolates, "" for nothing, None if it does something else; defaults are the library's."""
    if not isinstance(step, dict):
        return None
    type = step.get("type")
    if type == "Digits":
        return r"\p{N}" if step.get("individual_digits", False) else r"\p{N}+"
    if type == "ByteLevel" and not step.get("add_prefix_space", True):
        return GPT2_PATTERN if step.get("use_regex", True) else ""
    if type == "Split" and step.get("behavior") == "Isolated" and not step.get("invert", False):
        pattern = step.get("pattern")
        if isinstance(pattern, dict) and isinstance(pattern.get("String"), str):
            return re.escape(str(pattern["String"]))
        found = pattern.get("Regex") if isinstance(pattern, dict) else None
        if isinstance(found, str) and _compiles(found):
            return str(found)
    return None


def _compiles(pattern: str) -> bool:
    try:
        regex.compile(pattern)
    except regex.error:
        return False
    return True


def _named(pre: PreTokenizer, ignore_merges: bool) -> PreTokenizer:
    """Return the pre-tokenizer that GGUF has a name for, if it is one of those."""
    same = (other for other in PRE_TOKENIZERS if other.patterns == pre.patterns)
    candidates = [other for other in same if other.ignore_merges == ignore_merges]
    return candidates[0] if candidates else pre


def _vocabulary_ids(model: Mapping[str, Any]) -> dict[str, int]:
    vocab = model.get("vocab")
    if isinstance(vocab, list) and vocab:  # Unigram's: tokens and scores
        try:
            vocab = {name: id for id, (name, _) in enumerate(vocab)}
        except (TypeError, ValueError):
            raise TokenizerError("vocab of the model has something that is not a token and its score") from None
    if not isinstance(vocab, dict) or not vocab:
        raise TokenizerError("vocab of the model is missing or not an object")
    for name, id in vocab.items():
        check_id(name, id)
    return vocab


def _merges(model: Mapping[str, Any]) -> list[str]:
    """Return the merges as "a b"; since tokenizers 0.20 they are lists of two."""
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise TokenizerError("merges of the model is missing or not a list")
    try:
        return [merge if type(merge) is str else " ".join(merge) for merge in merges]
    except TypeError:
        raise TokenizerError("merges of the model has something that is not a pair of tokens") from None


def _names_by_id(ids: Mapping[str, int], vocab_size: int) -> tuple[list[str], frozenset[int]]:
    """Return a name for every id, and the ids that have none of their own."""
    count = max(vocab_size, max(ids.values()) + 1)
    names: list[str | None] = [None] * count
    for name, id in ids.items():
        if names[id] is not None:
            raise TokenizerError(f"tokens {names[id]!r:.80} and {name!r:.80} both have the id {id}")
        names[id] = name
    unused = frozenset(id for id, name in enumerate(names) if name is None)
    return [f"[PAD{id}]" if name is None else name for id, name in enumerate(names)], unused


def _piece_texts(names: Sequence[str], literal: frozenset[int]) -> list[bytes]:
    texts = []
    for id, name in enumerate(names):
        byte = None if id in literal else piece_byte(name)
        text = name.encode("utf-8", "replace") if id in literal else piece_bytes(name)
        texts.append(text if byte is None else bytes([byte]))
    return texts


def _find_id(what: str, token: Any, ids: Mapping[str, int], assumed: list[str]) -> int | None:
    name = token.get("content") if isinstance(token, dict) else token
    if name is None:
        return None
    if isinstance(name, str) and name in ids:
        return ids[name]
    if type(name) is not int:
        raise TokenizerError(f"the {what} token {token!r:.80} is not in the vocabulary")
    if 0 <= name <= max(ids.values()):
        return name
    assumed.append(f"{what} token: none, as {name!r:.40} is not the id of a token")
    return None


def _puts_in_front(post_processor: Any, name: str) -> bool:
    """Tell whether a post-processor begins a text with a token."""
    if not isinstance(post_processor, dict):
        return False
    if post_processor.get("type") == "Sequence":
        processors: Iterable[Any] = post_processor.get("processors") or []
        return any(_puts_in_front(processor, name) for processor in processors)
    single = post_processor.get("single")
    if post_processor.get("type") != "TemplateProcessing" or not isinstance(single, list) or not single:
        return False
    token = single[0].get("SpecialToken") if isinstance(single[0], dict) else None
    return isinstance(token, dict) and token.get("id") == name


def _as_transformers_builds_it(
    tokenizer: Mapping[str, Any], model: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the library is to run: for LlamaTokenizer, `transformers` takes only vocabulary and merges."""
    if not is_llama_tokenizer(config) or model.get("type", "BPE") != "BPE":
        return dict(tokenizer)
    prefix = config.get("add_prefix_space")
    prefixed = prefix is None or bool(prefix)
    scheme = ("always" if config.get("legacy") else "first") if prefixed else "never"
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefixed:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        **tokenizer,
        "model": {
            **dict.fromkeys(("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")),
            "type": "BPE",
            "vocab": model["vocab"],
            "merges": model.get("merges", []),
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
        },
        "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": False},
        "decoder": {"type": "Sequence", "decoders": steps},
    }


def _strips_a_space(content: Mapping[str, Any]) -> bool:
    """Tell whether the decoder takes a space away from the beginning of a text."""
    decoder = content.get("decoder")
    if _has_step(decoder, "Strip"):
        return True
    metaspace = decoder if isinstance(decoder, dict) and decoder.get("type") == "Metaspace" else {}
    return bool(metaspace) and metaspace.get("prepend_scheme", "always") != "never"


def _has_step(value: Any, type: str) -> bool:
    if isinstance(value, dict):
        return value.get("type") == type or any(_has_step(item, type) for item in value.values())
    return isinstance(value, list) and any(_has_step(item, type) for item in value)
