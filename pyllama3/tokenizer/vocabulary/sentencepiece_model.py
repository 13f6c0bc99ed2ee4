"""Vocabulary in a tokenizer.model of google/sentencepiece, as `transformers` reads it beside no other."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from .base import SentencePieces, Vocabulary
from .huggingface import is_llama_tokenizer
from .huggingface_added import read_added_tokens, template_tokens
from .pieces import SPACE, piece_byte, piece_bytes
from .sentencepiece_file import BYTE, CONTROL, UNKNOWN, UNUSED, USER_DEFINED, SentencePieceFile
from .stops import find_stop_ids

_MERGED = "tokenizer.model: its pieces are merged, as LlamaTokenizer does, though it is a Unigram model"


def read_sentencepiece_vocabulary(
    file: SentencePieceFile, *, config: Mapping[str, Any], added: Mapping[str, Any], stop_ids: Any, vocab_size: int
) -> Vocabulary:
    """Read a model whose pieces are merged, with the tokens that tokenizer_config.json and added_tokens.json add.

    A text gets a space in front; with the "legacy" of the configuration each part between added tokens does. That is
    the default of all classes but LlamaTokenizer, which puts none in front of a space.
    """
    is_llama = is_llama_tokenizer(config)
    is_legacy = bool(config.get("legacy", not is_llama))
    names, scores, types = file.names, file.scores, file.types
    ids = {name: id for id, name in enumerate(names)}
    tokens = read_added_tokens([], config, added, ids)
    special = {name: id for id, name in enumerate(names) if types[id] in (CONTROL, UNKNOWN)}
    user_defined = {name: id for id, name in enumerate(names) if types[id] == USER_DEFINED}
    for token in tokens.values():
        (special if token.special else user_defined)[token.content] = token.id
        if token.special:
            user_defined.pop(token.content, None)
    count = max(vocab_size, len(names), *(token.id + 1 for token in tokens.values()), 0)
    by_id = {id: name for name, id in {**ids, **special, **user_defined}.items()}
    bytes_by_id = {id: piece_byte(name) for id, name in enumerate(names) if types[id] == BYTE}
    byte_ids = {byte: id for id, byte in bytes_by_id.items() if byte is not None}
    texts = [piece_bytes(by_id.get(id, f"[PAD{id}]")) for id in range(count)]
    for id in special.values():
        texts[id] = by_id[id].encode("utf-8", "replace")
    for byte, id in byte_ids.items():
        texts[id] = bytes([byte])
    bos_id, eos_id = (
        _named_id(config.get(key), by_id, default)
        for key, default in (("bos_token", file.bos_id), ("eos_token", file.eos_id))
    )
    stops = [eos_id, *find_stop_ids(special), *(stop_ids if isinstance(stop_ids, list) else [stop_ids])]
    unused = frozenset(id for id in range(count) if id not in by_id or (id < len(types) and types[id] == UNUSED))
    return Vocabulary(
        tokens=texts,
        special=special,
        user_defined=user_defined,
        algorithm=SentencePieces(
            scores=[*scores, *([0.0] * (count - len(scores)))],
            byte_ids=byte_ids,
            space_prefix=file.has_dummy_prefix and (not is_llama or bool(config.get("add_prefix_space", True))),
            prefix_after_tokens=is_legacy,
            prefix_before_space=is_legacy and not is_llama,
            unknown_id=file.unknown_id,
        ),
        bos_id=bos_id,
        eos_id=eos_id,
        add_bos=bos_id is not None and bool(config.get("add_bos_token", True)),
        stop_ids=frozenset(id for id in stops if isinstance(id, int) and id < vocab_size),
        unused=unused,
        template_tokens=template_tokens(config),
        edges={token.content: token.edges for token in tokens.values() if token.edges is not None},
        assumed=(_MERGED,) if file.is_unigram else (),
    )


def _named_id(token: Any, by_id: Mapping[int, str], default: int) -> int | None:
    name = token.get("content") if isinstance(token, dict) else token
    found = next((id for id, other in by_id.items() if other == name), default)
    return found if found in by_id else None


def unigram_contents(file: SentencePieceFile, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokenizer.json that does what a Unigram model does: of all ways to cut a text, the likeliest.

    "legacy" of the configuration, here by default, has a space in front of each part between added tokens.
    """
    is_legacy = bool(config.get("legacy", True))
    bos = template_tokens(config).get("bos_token")
    steps: list[dict[str, Any]] = []
    if file.charsmap:
        steps.append({"type": "Precompiled", "precompiled_charsmap": base64.b64encode(file.charsmap).decode()})
    if file.removes_extra_spaces:
        steps += [_replace({"Regex": r"\A +| +\z"}, ""), _replace({"Regex": " {2,}"}, " ")]
    if file.escapes_spaces:
        steps.append(_replace({"String": " "}, SPACE))
    if file.has_dummy_prefix and is_legacy:
        steps.append(_replace({"Regex": rf"\A{SPACE}"}, 2 * SPACE))
    scheme = "always" if is_legacy else "first"
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": False}
    decoders = [_replace({"String": SPACE}, " "), {"type": "Fuse"}]
    if file.has_byte_fallback:
        decoders.insert(1, {"type": "ByteFallback"})
    if file.has_dummy_prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "added_tokens": [
            {"id": id, "content": name, "special": True}
            for id, name in enumerate(file.names)
            if file.types[id] in (CONTROL, UNKNOWN)
        ],
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": metaspace if file.has_dummy_prefix else None,
        "post_processor": _begins_with(bos, file) if bos is not None and config.get("add_bos_token", True) else None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "Unigram",
            "vocab": [list(piece) for piece in zip(file.names, file.scores, strict=True)],
            "unk_id": file.unknown_id if 0 <= file.unknown_id < len(file.names) else None,
            "byte_fallback": file.has_byte_fallback,
        },
    }


def _replace(pattern: Mapping[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _begins_with(name: str, file: SentencePieceFile) -> dict[str, Any]:
    """Return the post-processor that begins a text with a token, of the file or added to it."""
    id = next((id for id, other in enumerate(file.names) if other == name), len(file.names))
    text, second = ({"Sequence": {"id": letter, "type_id": 0}} for letter in "AB")
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": name, "type_id": 0}}, text],
        "pair": [text, second],
        "special_tokens": {name: {"id": name, "ids": [id], "tokens": [name]}},
    }
