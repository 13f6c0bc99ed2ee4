"""Added tokens of Hugging Face tokenizers, which stand in up to three files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import TokenizerError
from .base import Edges

_MOST_TOKENS = 1 << 22
_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_LISTS = ("additional_special_tokens", "extra_special_tokens")


@dataclass(frozen=True, kw_only=True)
class AddedToken:
    """A token that is found in a text before anything else."""

    content: str
    id: int
    special: bool
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False
    """Whether it is found in the normalized text."""

    @property
    def edges(self) -> Edges | None:
        """What it wants of the text around it, if anything."""
        if self.lstrip or self.rstrip or self.single_word:
            return Edges(lstrip=self.lstrip, rstrip=self.rstrip, single_word=self.single_word)
        return None

    def as_json(self) -> dict[str, Any]:
        """Return it as tokenizer.json has it."""
        return dict(vars(self))


def read_added_tokens(
    entries: Any, config: Mapping[str, Any], added: Mapping[str, Any], ids: Mapping[str, int]
) -> dict[str, AddedToken]:
    """Return the added tokens by name; later files change what earlier ones say of a token.

    Args:
        entries: "added_tokens" of tokenizer.json.
        config: tokenizer_config.json, which names more in "added_tokens_decoder" and as "bos_token" and so on.
        added: added_tokens.json, names with ids.
        ids: the vocabulary of the model; a token that has no id anywhere gets the next one.

    Raises:
        TokenizerError: an entry is damaged.
    """
    tokens: dict[str, AddedToken] = {}
    entries = entries or []
    if not isinstance(entries, list):
        raise TokenizerError("added_tokens is not a list")
    for entry in entries:
        token = _read(entry, entry.get("id") if isinstance(entry, dict) else None)
        if token.content in tokens:
            raise TokenizerError(f"added token {token.content!r:.80} occurs twice")
        tokens[token.content] = token
    for entry, id in _of_config(config, added):
        content = entry["content"] if isinstance(entry, dict) else entry
        own = tokens[content].id if content in tokens else ids.get(content)
        if own is None:
            own = id if id is not None and id not in _taken(tokens, ids) else max(_taken(tokens, ids), default=-1) + 1
        elif not isinstance(entry, dict) and content in tokens and tokens[content].special:
            continue  # a bare name says nothing new
        tokens[content] = _read(entry if isinstance(entry, dict) else {"content": entry, "special": True}, own)
    return tokens


def template_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what chat templates may use beside the BOS and EOS."""
    roles = {key: config[key] for key in config if key.endswith("_token")}
    contents = {key: value.get("content") if isinstance(value, dict) else value for key, value in roles.items()}
    return {key: value for key, value in contents.items() if isinstance(value, str)}


def check_id(name: str, id: Any) -> None:
    """Check the id of a token.

    Raises:
        TokenizerError: it is not a number, or absurd.
    """
    if type(id) is not int or not 0 <= id < _MOST_TOKENS:
        raise TokenizerError(f"token {name!r:.80} has id {id!r:.40}; allowed: 0 to {_MOST_TOKENS - 1}")


def _of_config(config: Mapping[str, Any], added: Mapping[str, Any]) -> Iterator[tuple[Any, int | None]]:
    """Yield names, or objects, of added tokens, and the ids they are said to have."""
    decoder = config.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict):
        raise TokenizerError("added_tokens_decoder is not an object")
    for key, entry in sorted(decoder.items(), key=lambda item: (len(item[0]), item[0])):
        if not key.isdecimal() or not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise TokenizerError(f"added_tokens_decoder has {key!r:.40}: {entry!r:.80}; an id and a token are expected")
        yield entry, int(key)
    named = [config[key] for key in _NAMED if key in config]
    for key in _LISTS:
        value = config.get(key)
        named += list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    contents = set(map(_content, named))
    if not decoder:
        for content, id in added.items():
            if type(id) is not int:
                raise TokenizerError(f"added token {content!r:.80} has id {id!r:.40}")
            yield {"content": content, "special": content in contents, "normalized": False}, id
    for entry in named:
        if isinstance(entry, str):
            yield entry, None
        elif isinstance(entry, dict) and isinstance(entry.get("content"), str):
            yield entry | {"special": True}, None
        else:
            raise TokenizerError(f"the special token {entry!r:.80} is not a name")


def _content(entry: Any) -> str | None:
    content = entry.get("content") if isinstance(entry, dict) else entry
    return content if isinstance(content, str) else None


def _taken(tokens: Mapping[str, AddedToken], ids: Mapping[str, int]) -> set[int]:
    return {*ids.values(), *(token.id for token in tokens.values())}


def _read(entry: Any, id: Any) -> AddedToken:
    if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
        raise TokenizerError(f"added token {entry!r:.80} has no content")
    check_id(entry["content"], id)
    special = bool(entry.get("special"))
    return AddedToken(
        content=entry["content"],
        id=id,
        special=special,
        normalized=bool(entry.get("normalized", not special)),
        **{name: bool(entry.get(name)) for name in ("lstrip", "rstrip", "single_word")},
    )
