"""Files of the Hugging Face hub, which its own library downloads, resumes and caches."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from ..errors import StoreError
from ..files import shard_names
from .network import check_name, check_online

_ENDPOINT = "https://huggingface.co"
_SUFFIX = ".gguf"


@dataclass(frozen=True)
class Offer:
    """What would be downloaded."""

    name: str
    """org/repo:file"""
    size: int
    license: str
    """What the repository says, or "unknown"."""


def find_offer(ref: str) -> Offer | None:
    """Return what `hf:org/repo[:file]` would download, None if it is on this machine.

    Raises:
        StoreError: see `pull_from_hub`.
    """
    hub, repository, name = _parse(ref)
    with _errors_of(ref):
        if _find_cached(hub, repository, name):
            return None
        _go_online(ref)
        info = hub.model_info(repository, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings}
        name = name or _only_model(ref, sizes)
        card = info.card_data or {}
        total = sum(sizes.get(shard, 0) for shard in shard_names(name))
        return Offer(f"{repository}:{name}", total, str(card.get("license_name") or card.get("license") or "unknown"))


def pull_from_hub(ref: str) -> tuple[Path, str]:
    """Return the file that `hf:org/repo[:file]` names, and its full name; without `file`, the only .gguf there.

    Of a split model all shards are downloaded. A file that is in the hub's cache needs no network.

    Raises:
        StoreError: the library is missing or fails, or the repository has not exactly one .gguf, whole or split.
    """
    hub, repository, name = _parse(ref)
    with _errors_of(ref):
        if cached := _find_cached(hub, repository, name):
            return cached
        _go_online(ref)
        name = name or _only_model(ref, hub.list_repo_files(repository))
        paths = [Path(hub.hf_hub_download(repository, shard)) for shard in shard_names(name)]
        return paths[0], f"{repository}:{name}"


def _parse(ref: str) -> tuple[ModuleType, str, str]:
    """Return the library of the hub, a repository and the name of a file or nothing."""
    repository, _, name = ref.removeprefix("hf:").partition(":")
    if not re.fullmatch(r"[^/\s]+/[^/\s]+", repository):
        raise StoreError(f"{ref}: expected hf:org/repo or hf:org/repo:file")
    try:
        import huggingface_hub
    except ImportError as error:
        raise StoreError(f"{ref}: needs the package huggingface_hub; pip install 'pyllama3[hf]'") from error
    return huggingface_hub, repository, name


def _go_online(ref: str) -> None:
    check_online(ref)
    check_name(ref, urlsplit(os.environ.get("HF_ENDPOINT", _ENDPOINT)).hostname or "")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # what is tried again is not for users


@contextmanager
def _errors_of(ref: str) -> Iterator[None]:
    """Turn the errors of the library into ours; they have no common base, and change with what it uses for HTTP."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0]
        raise StoreError(f"{ref}: {first_line or type(error).__name__}") from error


def _find_cached(hub: ModuleType, repository: str, name: str) -> tuple[Path, str] | None:
    """Return a file all shards of which are in the cache of the hub; without a name, the only model there."""
    start = f"{repository}:"
    names = [name] if name else _first_shards(file for file, _ in cached_files(hub) if file.startswith(start))
    if len(names) != 1:
        return None
    name = names[0].removeprefix(start)
    paths = [hub.try_to_load_from_cache(repository, shard) for shard in shard_names(name)]
    return (Path(paths[0]), f"{repository}:{name}") if all(isinstance(path, str) for path in paths) else None


def cached_files(hub: ModuleType) -> list[tuple[str, Path]]:
    """Return the models in the cache of the hub, as org/repo:file and as paths."""
    try:
        cache = hub.scan_cache_dir()
    except hub.CacheNotFound:
        return []
    files = (
        (f"{repo.repo_id}:{file.file_path.relative_to(revision.snapshot_path).as_posix()}", file.file_path)
        for repo in cache.repos
        for revision in repo.revisions
        for file in revision.files
    )
    return sorted((name, path) for name, path in files if name.endswith(_SUFFIX))


def _only_model(ref: str, names: Iterable[str]) -> str:
    files = _first_shards(name for name in names if name.endswith(_SUFFIX))
    if len(files) != 1:
        choices = f"choose one with {ref}:FILE: {', '.join(files)}" if files else f"it has no {_SUFFIX} file"
        raise StoreError(f"{ref}: {choices}")
    return files[0]


def _first_shards(names: Iterable[str]) -> list[str]:
    return sorted({shard_names(name)[0] for name in names})
