"""Texts that tokenizers stumble over."""

from __future__ import annotations

import base64
import os
import random
from collections.abc import Iterator
from pathlib import Path

from pyllama3.tokenizer.tokenizer import Tokenizer

WHITESPACE = " \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u180e\u2000\u200b\u2028\u3000\ufeff"
MIXED = WHITESPACE + "   1234٣½Ⅷ'stremvldSTREMVLD.,!?-_/aAbzé漢字かな한글😀👩‍💻\u0301İß\u017fK<|>ใ"

SNIPPETS = ["hello", "he", " wo", "rld", "  ", "\n\n", "'S", "'s", "!!", "0", "0000", " 0", "  0", "か"]


def varied_texts(tokenizer: Tokenizer, count: int) -> Iterator[str]:
    """Texts by a seeded generator: of whole tokens, of parts of tokens, of odd characters, of letters, of code."""
    rng = random.Random(1)
    words = [tokenizer.token_bytes(id).decode("utf-8", "ignore") for id in range(tokenizer.vocab_size)]
    words = [word for id, word in enumerate(words) if word and not tokenizer.is_special(id)]
    for _ in range(count):
        yield "".join(rng.choices(words, k=rng.randint(2, 60)))
        yield "".join(rng.choices(MIXED, k=rng.randint(1, 30)))
        yield "".join(rng.choices("abcdefghijklmnopqrstuvwxyz ", k=150))
        cut = [(word, rng.randint(0, len(word))) for word in rng.choices(words, k=40)]
        yield " ".join(left[:i] + right[j:] for (left, i), (right, j) in zip(cut[::2], cut[1::2], strict=True))
    for module in (random, os, base64):
        yield Path(str(module.__file__)).read_text()
