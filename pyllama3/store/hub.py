"""Files of the Hugging Face hub, which its own library downloads, resumes and caches."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from ..errors import StoreError
from ..files import shard_names
from .network import check_name, check_online

_ENDPOINT = "https://huggingface.co"
_SUFFIX = ".gguf"


def pull_from_hub(ref: str) -> tuple[Path, str]:
    """Return the file that `hf:org/repo[:file]` names, and its full name; without `file`, the only .gguf there.

    Of a split model all shards are downloaded. A file that is in the hub's cache needs no network.

    Raises:
        StoreError: the library is missing or fails, or the repository has not exactly one .gguf, whole or split.
    """
    repository, _, name = ref.removeprefix("hf:").partition(":")
    if not re.fullmatch(r"[^/\s]+/[^/\s]+", repository):
        raise StoreError(f"{ref}: expected hf:org/repo or hf:org/repo:file")
    try:
        import huggingface_hub
    except ImportError as error:
        raise StoreError(f"{ref}: needs the package huggingface_hub; pip install 'pyllama3[hf]'") from error
    try:
        if cached := _find_cached(huggingface_hub, repository, name):
            return cached
        check_online(ref)
        check_name(ref, urlsplit(os.environ.get("HF_ENDPOINT", _ENDPOINT)).hostname or "")
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # what is tried again is not for users
        name = name or _only_model(ref, huggingface_hub.list_repo_files(repository))
        paths = [Path(huggingface_hub.hf_hub_download(repository, shard)) for shard in shard_names(name)]
        return paths[0], f"{repository}:{name}"
    except StoreError:
        raise
    except Exception as error:  # its errors have no common base, and change with the HTTP library that it uses
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
