"""Prompt caches: what comes back is to the last bit what was computed, and no other model's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import engines
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3 import Llama
from pyllama3.backends import Engine
from pyllama3.cli import cli
from pyllama3.errors import PromptCacheError
from pyllama3.generation.prompt_cache import load_prompt, save_prompt
from pyllama3.runtime.model import CACHE_TYPES, EngineModel
from pyllama3.runtime.session import Session
from pyllama3.weights import load_weights

engine = engines.engine

PROMPT = [5, 17, 200, 3, 3, 77, 100, 12, 9, 4, 250, 31, 8, 60, 61, 62, 63, 64, 65]
"""More than the 16 positions of a tile."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "m.gguf")


def write(path: Path, seed: int = 1, **overrides: Any) -> Path:
    config = tiny_config(**{"head_dim": 12, **overrides})  # heads are padded
    write_gguf(path, config, random_tensors(config, seed))
    return path


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
    exact = Llama.load(path, backend=engine.name, exact=True)
    with pytest.raises(PromptCacheError, match=r"of another precision: f16, this one is f32 exact$"):
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
    for damaged, message in (
        (data[:-1], "damaged: its"),
        (data[:-1] + bytes([data[-1] ^ 1]), "damaged: its"),
        (data + b"x", "damaged: its"),
        (data[:40], "the header is damaged"),
        (data.replace(b'"ids"', b'"IDS"'), "the header is damaged"),
        (b"GGUF", "a prompt cache starts with"),
        (b"", "a prompt cache starts with"),
    ):
        cache.write_bytes(damaged)
        fresh = Llama.load(path).session()
        with pytest.raises(PromptCacheError, match=message):
            load_prompt(cache, fresh)
        assert fresh.ids == ()
    with pytest.raises(PromptCacheError, match="No such file"):
        load_prompt(tmp_path / "none", session)
    with pytest.raises(PromptCacheError, match="cannot be written: No such file"):
        save_prompt(tmp_path / "no" / "folder", session, 1)


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
