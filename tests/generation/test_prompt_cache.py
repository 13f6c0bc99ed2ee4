"""Prompt caches: what comes back is to the last bit what was computed, and no other model's.

To add a case: a change of the bytes of a file, and the one line that refuses it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_models import write_tiny

from pyllama3 import Llama
from pyllama3.backends import Engine
from pyllama3.cli import cli
from pyllama3.config import CACHE_TYPES
from pyllama3.errors import OptionError, PromptCacheError
from pyllama3.generation.prompt_cache import MAGIC, load_prompt, save_prompt
from pyllama3.runtime.model import EngineModel
from pyllama3.runtime.session import Session
from pyllama3.weights import load_weights

PROMPT = [5, 17, 200, 3, 3, 77, 100, 12, 9, 4, 250, 31, 8, 60, 61, 62, 63, 64, 65]
"""More than the 16 positions of a tile."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "m.gguf")


def write(path: Path, seed: int = 1, **overrides: Any) -> Path:
    return write_tiny(path, seed, **{"head_dim": 12, **overrides})  # heads are padded


@pytest.mark.parametrize("cache_type", CACHE_TYPES)
def test_a_restored_session_continues_as_the_saved_one(engine: Engine, path: Path, cache_type: Any) -> None:
    model = EngineModel(engine, load_weights(path), threads=1, cache_type=cache_type)
    saved = Session(model, context=40)
    saved.feed([*PROMPT, 99])
    save_prompt(path.with_name("cache"), saved, len(PROMPT))
    saved.rewind(len(PROMPT))
    expected = saved.feed([7, 8])
    for context in (25, 64):
        restored = Session(model, context=context)
        restored.feed([1, 2, 3])
        load_prompt(path.with_name("cache"), restored)
        assert restored.ids == tuple(PROMPT)
        np.testing.assert_array_equal(restored.feed([7, 8]), expected)


def test_a_file_has_only_the_positions_that_are_used(engine: Engine, path: Path) -> None:
    session = Llama.load(path, backend=engine.name, context=64).session()
    session.feed(PROMPT)
    sizes = []
    for count in (1, 16, 17):
        save_prompt(path.with_name("cache"), session, count)
        sizes.append(path.with_name("cache").stat().st_size)
    heads, padded = 2 * 2, 16
    assert sizes[1] - sizes[0] == pytest.approx(15 * heads * padded * 2, abs=99)  # keys come in tiles of 16 positions
    assert sizes[2] - sizes[1] == pytest.approx(heads * (padded + 16 * 12) * 2, abs=99)


def test_files_of_others_are_refused(engine: Engine, path: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    session = Llama.load(path, backend=engine.name).session()
    session.feed(PROMPT)
    save_prompt(cache, session, len(PROMPT))
    copy = Llama.load(write(tmp_path / "copy.gguf"), backend=engine.name)
    load_prompt(cache, copy.session())  # the same weights
    other = Llama.load(write(tmp_path / "other.gguf", seed=2), backend=engine.name)
    with pytest.raises(
        PromptCacheError, match=r"cache: this is the prompt cache of another model: \w+, this one is \w"
    ):
        load_prompt(cache, other.session())
    exact = Llama.load(path, backend=engine.name, precision="exact")
    with pytest.raises(PromptCacheError, match=r"precision: f16 cache, (16|32)-bit .*, this one is f32 cache, 32-bit"):
        load_prompt(cache, exact.session())
    small = Llama.load(path, backend=engine.name, context=18)
    with pytest.raises(PromptCacheError, match=r"cache: 19 tokens do not fit into the context of 18$"):
        load_prompt(cache, small.session())


def test_damaged_files_are_refused(path: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    session = Llama.load(path).session()
    session.feed(PROMPT)
    save_prompt(cache, session, len(PROMPT))
    data = cache.read_bytes()
    flips = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in (18, 34, 50, 150, len(data) - 1)]
    for damaged, message in (
        *((flipped, "damaged: its") for flipped in flips),
        (data[:-1], "damaged: its"),
        (data + b"x", "damaged: its"),
        (data[:40], "damaged: its"),
        (data.replace(b'"ids":[5,', b'"ids":[6,'), "damaged: its"),
        (data.replace(b'"precision":"f16', b'"precision":"f32'), "damaged: its"),
        (data.replace(b"PROMPT 2", b"PROMPT 1"), "starts with .*PROMPT 1.*; a prompt cache of this version starts"),
        (b"GGUF", "a prompt cache of this version starts with"),
        (b"", "a prompt cache of this version starts with"),
    ):
        assert damaged != data
        assert_refused(cache, damaged, path, message)
    with pytest.raises(PromptCacheError, match="No such file"):
        load_prompt(tmp_path / "none", session)
    with pytest.raises(PromptCacheError, match="cannot be written: No such file"):
        save_prompt(tmp_path / "no" / "folder", session, 1)


def test_tokens_that_do_not_belong_to_the_arrays_are_refused(path: Path, tmp_path: Path) -> None:
    """Even where the digest is right: other code may have written the file."""
    cache = tmp_path / "cache"
    session = Llama.load(path).session()
    session.feed(PROMPT)
    save_prompt(cache, session, len(PROMPT))
    data = cache.read_bytes()
    ids = json.dumps(PROMPT, separators=(",", ":")).encode()
    fewer, shape = ids.replace(b"[5,", b"["), b"[2,1,2,1,19,16]"
    assert data.count(ids) == data.count(shape) == 1
    for old, new, message in (
        (ids, fewer, r"the arrays of 18 tokens are \[.*; expected: \["),
        (shape, b"[2,1,2,1,18,16]", r"the arrays of 19 tokens are \[.*; expected: \["),
        (ids, ids.replace(b"[5,", b"[288,"), "token 288 is not in the vocabulary; allowed: 0 to 287"),
        (ids, ids.replace(b"[5,", b"[true,"), "the header is not that of a prompt cache"),
        (ids, b"[]", "there are no tokens"),
        (b'"ids"', b'"IDS"', "the header is not that of a prompt cache"),
        (b'{"model"', b'["model"', "the header is not that of a prompt cache"),
    ):
        assert_refused(cache, signed(data.replace(old, new)), path, message)
    assert_refused(cache, signed(data[:-1]), path, r"19 tokens have \d+ bytes of arrays; expected: \d+$")


def signed(data: bytes) -> bytes:
    """Return a prompt cache whose length of the header and digest are right."""
    start = len(MAGIC) + 16
    header = re.split(rb"(?<=\]\})", data[start + 8 :], maxsplit=1)[0]
    content = len(header).to_bytes(8, "little") + data[start + 8 :]
    return MAGIC + hashlib.blake2b(content, digest_size=16).digest() + content


def assert_refused(cache: Path, content: bytes, model: Path, message: str) -> None:
    cache.write_bytes(content)
    session = Llama.load(model).session()
    session.feed([1, 2])
    with pytest.raises(PromptCacheError, match=message) as caught:
        load_prompt(cache, session)
    assert "\n" not in str(caught.value)
    assert session.ids == (1, 2)


def test_no_more_than_the_session_holds_is_saved(path: Path, tmp_path: Path) -> None:
    session = Llama.load(path).session()
    session.feed(PROMPT)
    for count in (0, len(PROMPT) + 1):
        with pytest.raises(OptionError, match=f"^cannot save {count} tokens; the session holds 19$"):
            save_prompt(tmp_path / "cache", session, count)
    assert not (tmp_path / "cache").exists()


def test_a_failure_leaves_the_old_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    session = Llama.load(path).session()
    session.feed(PROMPT)
    save_prompt(cache, session, 3)
    before = cache.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(PromptCacheError, match=r"cannot be written: No space left on device$"):
        save_prompt(cache, session, 9)
    assert cache.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"cache", "m.gguf"}


def test_run_reads_a_known_prompt_from_the_file(path: Path, tmp_path: Path) -> None:
    def run(prompt: str) -> tuple[str, str]:
        arguments = ["run", "-m", str(path), "--raw", "--temp", "0", "-n", "5", "--prompt-cache", str(tmp_path / "c")]
        result = CliRunner().invoke(cli, [*arguments, prompt])
        assert result.exit_code == 0, result.output
        return result.stdout, result.stderr

    first, report = run("the old world")
    assert "prompt: 1 tokens" not in report
    again, report = run("the old world")
    assert again == first
    assert "prompt: 1 tokens" in report
    _, report = run("the old world and the new")
    assert "prompt: 9 tokens" in report
