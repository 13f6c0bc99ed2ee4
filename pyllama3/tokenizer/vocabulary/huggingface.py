"""Vocabularies in tokenizer.json (huggingface/tokenizers), as far as the byte-level BPE of Llama 3 and SmolLM goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import TokenizerError
from .base import BytePairs, Vocabulary, find_stop_ids
from .byte_level import LLAMA3_PATTERN, SMOLLM_PATTERN, check_merge_order, spelled_out

_PATTERNS: dict[tuple[tuple[Any, ...], ...], str] = {
    (("Split", LLAMA3_PATTERN, "Isolated", False), ("ByteLevel", False, False)): LLAMA3_PATTERN,
    (("Digits", True), ("ByteLevel", False, True)): SMOLLM_PATTERN,
}
"""What `_step` makes of the steps of a pre-tokenizer."""
_UNSUPPORTED = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
"""Options of the model which would make other tokens, if they are set."""


def read_huggingface_vocabulary(
    tokenizer: Mapping[str, Any],
    *,
    bos: Any,
    eos: Any,
    stop_ids: Any,
    vocab_size: int,
) -> Vocabulary:
    """Make a vocabulary of the contents of tokenizer.json.

    Whether ignore_merges is set makes no difference, see `BytePairEncoder`.

    Args:
        tokenizer: contents of tokenizer.json.
        bos: token that begins a text: its id, its name, an object with the name as "content", or None.
        eos: token that ends a text, likewise.
        stop_ids: "eos_token_id" of generation_config.json: an id, a list of them, or None.
        vocab_size: rows of the embedding; ids without a token become special tokens named [PAD0], [PAD1], ...

    Raises:
        TokenizerError: the vocabulary is damaged or of an unsupported kind.
    """
    model = tokenizer.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        found = model.get("type") if isinstance(model, dict) else None
        raise TokenizerError(f"the model is {found!r:.40}; supported: 'BPE'")
    for option in _UNSUPPORTED:
        if model.get(option):
            raise TokenizerError(f"{option} of the model is {model[option]!r:.40}, which is not supported")
    if tokenizer.get("normalizer") is not None:
        raise TokenizerError("there is a normalizer, which is not supported")
    pattern = _find_pattern(tokenizer.get("pre_tokenizer"))
    ids = _vocabulary_ids(model, vocab_size)
    special, user_defined = _added_ids(tokenizer, vocab_size)
    merges = _merges(model)
    check_merge_order(ids, merges, several_ways=pattern == LLAMA3_PATTERN)
    names = _names_by_id(ids | special | user_defined, vocab_size)
    special |= {name: id for id, name in enumerate(names) if name not in ids and name not in user_defined}
    tokens = spelled_out(names, frozenset([*special.values(), *user_defined.values()]))
    known = ids | special | user_defined
    bos_id, eos_id = _find_id("BOS", bos, known), _find_id("EOS", eos, known)
    stops = stop_ids if isinstance(stop_ids, list) else [stop_ids]
    return Vocabulary(
        tokens=tokens,
        special=special,
        user_defined=user_defined,
        algorithm=BytePairs(pattern=pattern, merges=merges),
        bos_id=bos_id,
        eos_id=eos_id,
        add_bos=bos_id is not None and _puts_in_front(tokenizer.get("post_processor"), names[bos_id]),
        stop_ids=frozenset(find_stop_ids(special)).union(
            id for id in (eos_id, *(_find_id("stop", stop, known) for stop in stops)) if id is not None
        ),
    )


def _find_pattern(pre_tokenizer: Any) -> str:
    steps = pre_tokenizer
    if isinstance(steps, dict) and steps.get("type") == "Sequence":
        steps = steps.get("pretokenizers")
    steps = steps if isinstance(steps, list) else [steps]
    try:
        return _PATTERNS[tuple(map(_step, steps))]
    except (KeyError, TypeError):
        types = ", ".join(str(step.get("type")) if isinstance(step, dict) else repr(step) for step in steps)
        raise TokenizerError(
            f"the pre_tokenizer ({types:.80}) is not supported; supported: those of Llama 3 (Split by its pattern, "
            f"ByteLevel) and of SmolLM (Digits, ByteLevel)"
        ) from None


def _step(step: Any) -> tuple[Any, ...]:
    """Return what matters of a step of a pre-tokenizer; defaults are those of the `tokenizers` library."""
    type = step.get("type") if isinstance(step, dict) else None
    if type == "Split" and isinstance(step.get("pattern"), dict):
        return type, step["pattern"].get("Regex"), step.get("behavior"), step.get("invert", False)
    if type == "Digits":
        return type, step.get("individual_digits", False)
    if type == "ByteLevel":
        return type, step.get("add_prefix_space", True), step.get("use_regex", True)
    return (type,)


def _vocabulary_ids(model: Mapping[str, Any], vocab_size: int) -> dict[str, int]:
    vocab = model.get("vocab")
    if not isinstance(vocab, dict) or not vocab:
        raise TokenizerError("vocab of the model is missing or not an object")
    return {name: _checked_id(name, id, vocab_size) for name, id in vocab.items()}


def _added_ids(tokenizer: Mapping[str, Any], vocab_size: int) -> tuple[dict[str, int], dict[str, int]]:
    """Return special and user-defined tokens."""
    entries = tokenizer.get("added_tokens") or []
    if not isinstance(entries, list):
        raise TokenizerError("added_tokens is not a list")
    special: dict[str, int] = {}
    user_defined: dict[str, int] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise TokenizerError(f"added token {entry!r:.80} has no content")
        name: str = entry["content"]
        id = _checked_id(name, entry.get("id"), vocab_size)
        if name in special or name in user_defined:
            raise TokenizerError(f"added token {name!r:.80} occurs twice")
        for option in ("single_word", "lstrip", "rstrip"):
            if entry.get(option):
                raise TokenizerError(f"added token {name!r:.80} has {option} set, which is not supported")
        (special if entry.get("special") else user_defined)[name] = id
    return special, user_defined


def _merges(model: Mapping[str, Any]) -> list[str]:
    """Return the merges as "a b"; since tokenizers 0.20 they are lists of two."""
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise TokenizerError("merges of the model is missing or not a list")
    try:
        return [merge if type(merge) is str else " ".join(merge) for merge in merges]
    except TypeError:
        raise TokenizerError("merges of the model has something that is not a pair of tokens") from None


def _names_by_id(ids: Mapping[str, int], vocab_size: int) -> list[str]:
    names = [f"[PAD{id}]" for id in range(vocab_size)]
    taken: set[int] = set()
    for name, id in ids.items():
        if id in taken:
            raise TokenizerError(f"tokens {names[id]!r:.80} and {name!r:.80} both have the id {id}")
        names[id] = name
        taken.add(id)
    return names


def _find_id(what: str, token: Any, ids: Mapping[str, int]) -> int | None:
    name = token.get("content") if isinstance(token, dict) else token
    if name is None:
        return None
    if isinstance(name, str) and name in ids:
        return ids[name]
    if type(name) is int and 0 <= name < len(ids):
        return name
    raise TokenizerError(f"the {what} token {token!r:.80} is not in the vocabulary")


def _checked_id(name: str, id: Any, vocab_size: int) -> int:
    if type(id) is not int or not 0 <= id < vocab_size:
        raise TokenizerError(f"token {name!r:.80} has id {id!r:.40}; allowed: 0 to {vocab_size - 1}")
    return id


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
