"""Tokenizer, chat templates and recommended sampling of a Hugging Face directory, from whatever files it has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import TemplateError, TokenizerError, WeightsError
from ...tokenizer.vocabulary import Vocabulary
from ...tokenizer.vocabulary.huggingface import is_llama_tokenizer, read_huggingface_vocabulary
from ...tokenizer.vocabulary.meta import read_tokenizer_model
from ...tokenizer.vocabulary.sentencepiece_file import SentencePieceFile, read_sentencepiece_file
from ...tokenizer.vocabulary.sentencepiece_model import read_sentencepiece_vocabulary, unigram_contents
from ..sampling import Sampling, huggingface_sampling
from .json_files import read_json
from .keys import Keys

_CONFIG, _GENERATION_CONFIG = "tokenizer_config.json", "generation_config.json"
_CLASS = "LlamaTokenizer"
"""That of a directory with nothing but tokenizer.model."""
_DEFAULTS: dict[str, dict[str, Any]] = {
    _CLASS: {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    "GPT2Tokenizer": dict.fromkeys(("unk_token", "bos_token", "eos_token"), "<|endoftext|>"),
}
"""What classes of `transformers` take for tokens that tokenizer_config.json does not name."""


def load_vocabulary(directory: Path, keys: Keys, vocab_size: int) -> Vocabulary:
    """Read tokenizer.json, or else tokenizer.model or vocab.json, with what is beside it and in config.json.

    Raises:
        TokenizerError: there is none of them, or one is damaged or of an unsupported kind.
    """
    try:
        config = _read_optional(directory / _CONFIG)
        if "added_tokens_decoder" not in config:
            config = _read_optional(directory / "special_tokens_map.json") | config
        added = _read_optional(directory / "added_tokens.json")
        contents = _read_contents(directory)
        named = config.get("tokenizer_class", _CLASS if contents is None else None)
        config = _DEFAULTS.get(str(named).removesuffix("Fast"), {}) | config
        eos_ids = keys.metadata.get("eos_token_id")
        stop_ids = _read_optional(directory / _GENERATION_CONFIG).get("eos_token_id", eos_ids)
    except WeightsError as error:
        raise TokenizerError(str(error)) from error
    if contents is None:
        path = directory / "tokenizer.model"
        file = _read_model(path)
        if isinstance(file, Vocabulary):
            return file
        config = file.roles | config
        if not file.is_unigram or is_llama_tokenizer(config):
            return read_sentencepiece_vocabulary(
                file, config=config, added=added, stop_ids=stop_ids, vocab_size=vocab_size
            )
        contents = path, unigram_contents(file, config)
    path, content = contents
    try:
        return read_huggingface_vocabulary(
            content,
            config=config,
            added=added,
            bos=config.get("bos_token", keys.metadata.get("bos_token_id")),
            eos=config.get("eos_token", eos_ids[0] if isinstance(eos_ids, list) and eos_ids else eos_ids),
            stop_ids=stop_ids,
            vocab_size=vocab_size,
        )
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from error


def load_sampling(directory: Path) -> Sampling:
    """Return what generation_config.json recommends, if there is one.

    Raises:
        WeightsError: it is damaged.
    """
    return huggingface_sampling(_read_optional(directory / _GENERATION_CONFIG))


def load_templates(directory: Path) -> Mapping[str, str]:
    """Return the templates in files of their own, else those of tokenizer_config.json.

    Raises:
        TemplateError: a file is damaged.
    """
    files = {"default": directory / "chat_template.jinja"}
    files |= {file.stem: file for file in sorted((directory / "additional_chat_templates").glob("*.jinja"))}
    templates = {}
    for name, file in files.items():
        try:
            if file.exists():
                templates[name] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateError(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from error
    if templates:
        return templates
    path = directory / _CONFIG
    try:
        template = _read_optional(path).get("chat_template")
    except WeightsError as error:
        raise TemplateError(str(error)) from error
    if isinstance(template, list):
        named = [(entry.get("name"), entry.get("template")) for entry in template if isinstance(entry, dict)]
    else:
        named = [] if template is None else [("default", template)]
    for key, source in named:
        if not isinstance(key, str) or not isinstance(source, str):
            raise TemplateError(f"{path}: chat_template is not text")
        templates[key] = source
    return {name: source for name, source in templates.items() if source}


def _read_contents(directory: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return what tokenizer.json says, or would say if there were one; None if there is only tokenizer.model."""
    path = directory / "tokenizer.json"
    if path.exists():
        return path, read_json(path)
    vocab, merges = directory / "vocab.json", directory / "merges.txt"
    if not (vocab.exists() and merges.exists()) or (directory / "tokenizer.model").exists():
        return None
    try:
        lines = merges.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{merges}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from error
    pairs = [line for line in lines if " " in line and not line.startswith("#version")]
    return vocab, {
        "model": {
            "type": "BPE",
            "vocab": read_json(vocab),
            "merges": pairs,
        },
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "decoder": {"type": "ByteLevel"},
    }


def _read_model(path: Path) -> SentencePieceFile | Vocabulary:
    """Read tokenizer.model, which is SentencePiece's, or a list of lines as Meta's is."""
    if not path.exists():
        raise TokenizerError(f"{path.parent}: no tokenizer.json, tokenizer.model, or vocab.json with merges.txt")
    try:
        return read_sentencepiece_file(path)
    except TokenizerError as error:
        try:
            return read_tokenizer_model(path)
        except TokenizerError:
            raise error from None


def _read_optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
