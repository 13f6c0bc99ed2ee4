"""The models that were downloaded to this machine: what there is, and how to remove it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError
from ..files import beside, cache_dir, shard_names
from .aliases import ALIASES, find_hub_file, find_packaged


@dataclass(frozen=True)
class LocalModel:
    """A model by the name that loads it."""

    name: str
    paths: tuple[Path, ...]
    """Its files: those of all shards, and for the hub also what its links point to."""
    size: int


def list_models() -> list[LocalModel]:
    """Return what was downloaded: to our cache, and GGUF files in that of the hub.

    Raises:
        StoreError: the cache cannot be read.
    """
    return [*_in_cache(), *_from_hub()]


def find_local(name: str) -> LocalModel:
    """Return a downloaded model by its name, its alias or its path.

    Raises:
        StoreError: there is none.
    """
    packaged = find_packaged(name)
    wanted = next((alias for alias, file in ALIASES.items() if file is packaged), None) or find_hub_file(name) or name
    models = list_models()
    for model in models:
        if wanted == model.name or Path(wanted).absolute() in model.paths:
            return model
    known = ", ".join(model.name for model in models) or "none"
    raise StoreError(f"{name}: not among the models that were downloaded: {known}")


def remove(model: LocalModel) -> None:
    """Remove the files of a model.

    Raises:
        StoreError: one cannot be removed.
    """
    for path in model.paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: cannot be removed: {error.strerror}") from error
        for rest in (".part", ".part.version", ".lock"):
            beside(path, rest).unlink(missing_ok=True)


def _in_cache() -> Iterator[LocalModel]:
    """Yield files of packages under their alias, those of URLs under their path, also what is there of a download."""
    packaged = {
        cache_dir().absolute() / f"{file.package}-{file.version}" / Path(file.member).name: name
        for name, file in ALIASES.items()
    }
    seen: set[Path] = set()
    try:
        files = sorted(path for path in cache_dir().absolute().glob("**/*") if path.is_file())
    except OSError as error:
        raise StoreError(f"{cache_dir()}: cannot be read: {error.strerror}") from error
    for path in files:
        if path in seen or path.suffix not in (".gguf", ".safetensors", ".pth", ".bin"):
            continue
        shards = tuple(path.with_name(name) for name in shard_names(path.name))
        paths = tuple(shard for shard in shards if shard.exists())
        seen.update(paths)
        yield LocalModel(packaged.get(path, str(path)), paths, sum(shard.stat().st_size for shard in paths))


def _from_hub() -> Iterator[LocalModel]:
    try:
        import huggingface_hub
    except ImportError:
        return
    from .hub import cached_files

    files = dict(cached_files(huggingface_hub))
    for name in sorted({shard_names(name)[0] for name in files}):
        links = [files[shard] for shard in shard_names(name) if shard in files]
        targets = [link.resolve() for link in links]
        size = sum(target.stat().st_size for target in targets if target.exists())
        yield LocalModel(f"hf:{name}", tuple(dict.fromkeys([*links, *targets])), size)
