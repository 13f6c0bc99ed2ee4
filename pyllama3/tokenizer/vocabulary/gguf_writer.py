"""Vocabularies as GGUF metadata, of which `read_gguf_vocabulary` makes the same ones again."""

from __future__ import annotations

from typing import Any

from ...errors import TokenizerError
from .base import BytePairs, LibraryTokenizer, Vocabulary
from .byte_level import merges_by_id, spell
from .gguf import BYTE, CONTROL, NORMAL, PREFIX, UNUSED, USER_DEFINED
from .pieces import byte_name, piece_name


def gguf_metadata(vocabulary: Vocabulary, vocab_size: int) -> dict[str, Any]:
    """Return the "tokenizer.ggml.*" keys of a vocabulary, of which a model has the first `vocab_size` tokens.

    Raises:
        TokenizerError: GGUF has no name for what cuts the text into pieces.
    """
    ids = {"bos_token_id": vocabulary.bos_id, "eos_token_id": vocabulary.eos_id, "eot_token_id": vocabulary.eot_id}
    algorithm = vocabulary.algorithm
    special, added = frozenset(vocabulary.special.values()), frozenset(vocabulary.user_defined.values())
    literal = special | added | vocabulary.unused
    tokens = vocabulary.tokens[:vocab_size]
    types = {
        **dict.fromkeys(special, CONTROL),
        **dict.fromkeys(added, USER_DEFINED),
        **dict.fromkeys(vocabulary.unused, UNUSED),
    }
    keys: dict[str, Any]
    if isinstance(algorithm, LibraryTokenizer):
        raise TokenizerError("this kind of tokenizer cannot be written to GGUF, which has no name for it")
    if isinstance(algorithm, BytePairs):
        if not algorithm.pre.names:
            raise TokenizerError("the pre-tokenizer cannot be written to GGUF: it has no name for it")
        names = algorithm.names
        merges = algorithm.merges
        keys = {
            "model": "gpt2",
            "pre": algorithm.pre.names[0],
            "tokens": list(names[:vocab_size])
            if names is not None
            else [vocabulary.name(id) if id in literal else spell(token) for id, token in enumerate(tokens)],
            "merges": list(merges_by_id(tokens, literal) if merges is None else merges),
        }
    else:
        types |= dict.fromkeys(algorithm.byte_ids.values(), BYTE)
        pieces = [vocabulary.name(id) if id in special else piece_name(token) for id, token in enumerate(tokens)]
        for byte, id in algorithm.byte_ids.items():
            pieces[id] = byte_name(byte)
        keys = {
            "model": "llama",
            "tokens": pieces,
            "scores": list(algorithm.scores[:vocab_size]),
            "add_space_prefix": algorithm.space_prefix,
        }
        ids["unknown_token_id"] = algorithm.unknown_id
    keys |= {"token_type": [types.get(id, NORMAL) for id in range(len(tokens))], "add_bos_token": vocabulary.add_bos}
    keys |= {key: id for key, id in ids.items() if id is not None and id < vocab_size}
    return {PREFIX + key: value for key, value in keys.items()}
